"""Values of a file in the types, units and labels of a detector; what does not fit is recorded per event."""

from collections.abc import Mapping as AnyMapping

import numpy as np

from tpcfm.detectors.model import ClassLabel, Column, Detector, InstanceLabel
from tpcfm.readers.block import EventBlock
from tpcfm.readers.checks import check_events, fit_columns, outside_classes, unknown_classes
from tpcfm.readers.columns.mapping import Factor, Mapping, conversion
from tpcfm.readers.columns.source import join_flat
from tpcfm.readers.ragged import Array, Index, Mask, Ragged, offsets_of

WHOLE = 1e-3
"""How far a converted lattice coordinate may lie from a whole number, voxels."""


class Converter:
    """Turns raw columns, named as in the event table, into those of a detector."""

    def __init__(self, detector: Detector, mapping: Mapping) -> None:
        self.detector, self.mapping = detector, mapping
        names = [*"xyz", *(signal.name for signal in detector.signal)]
        self._factors = {name: conversion(detector, mapping, name) for name in names}

    def fill(self, block: EventBlock, raw: AnyMapping[str, Ragged]) -> None:
        """Fill the columns of a block, and check them.

        Args:
            block: whose rows are those of ``raw``.
            raw: columns as they were read; all per-point ones of equal lengths.
        """
        first = next(raw[name] for name in self._factors if name in raw)
        found: dict[str, Ragged | None] = {}
        for name, factor in self._factors.items():
            if name in self.mapping.constants:
                values = np.full(len(first.values), self.mapping.constants[name])
                factor = (1.0, 1.0)
            else:
                values = raw[name].values
            one = Ragged(first.offsets, scaled(values, factor))
            kind = self.detector.coordinates.type if name in "xyz" else "float32"
            with np.errstate(over="ignore"):  # infinite ones are rejected
                found[name] = (
                    self._voxels(block, one, name)
                    if kind.startswith("int")
                    else Ragged(one.offsets, one.values.astype(kind))
                )
        followers = {
            about.instances: f"{table}_{next(iter(about.columns))}"
            for table, about in self.detector.objects.items()
            if about.instances and f"{table}_{next(iter(about.columns))}" in raw
        }
        for name, label in self.detector.labels.items():
            if name not in raw:
                continue
            if isinstance(label, ClassLabel):
                found[name] = self._classes(block, raw[name], name, label)
            else:
                follower = followers.get(name, "")
                found[name], other = self._instances(block, raw[name], name, label, raw.get(follower))
                if other is not None:
                    found[follower] = other
        for name, column in self.detector.object_columns.items():
            if name in raw and name not in found:
                found[name] = _typed(block, raw[name], name, column)
        block.columns = fit_columns(self.detector, found)
        check_events(block, self.detector)

    def _voxels(self, block: EventBlock, given: Ragged, name: str) -> Ragged:
        kind = np.dtype(self.detector.coordinates.type)
        if given.values.dtype.kind in "iu":
            nearest, wrong = given.values, np.zeros(len(given.values), bool)
        else:
            nearest = np.rint(given.values)
            with np.errstate(invalid="ignore"):
                wrong = ~(np.abs(given.values - nearest) <= WHOLE)
        block.flag_values(given, wrong, name, "not whole numbers")
        ends = np.iinfo(kind)
        return Ragged(given.offsets, np.clip(np.where(wrong, 0, nearest), ends.min, ends.max).astype(kind))

    def _classes(self, block: EventBlock, raw: Ragged, name: str, label: ClassLabel) -> Ragged:
        mapped = {str(key): value for key, value in self.mapping.values.get(name, {}).items()}
        values = raw.values
        if not mapped and values.dtype.kind in "OUS":
            mapped = {about.name: value for value, about in label.classes.items()}
        if mapped:
            known, place = np.unique(values, return_inverse=True)
            keys = [_key(value) for value in known.tolist()]
            table = np.array([mapped.get(key, mapped.get("other", 0)) for key in keys], np.int64)
            unknown = np.array([key not in mapped and "other" not in mapped for key in keys], bool)
            block.flag_values(raw, unknown[place], name, f"none of the values mapped ({', '.join(mapped)})")
            values = table[place]
        else:
            values, wrong = whole_numbers(values)
            block.flag_values(raw, wrong, name, "not whole numbers")
        wrong = unknown_classes(label, values)
        block.flag_values(Ragged(raw.offsets, values), wrong, name, outside_classes(label))
        return Ragged(raw.offsets, np.where(wrong, min(label.classes), values).astype(label.type))

    def _instances(
        self, block: EventBlock, raw: Ragged, name: str, label: InstanceLabel, objects: Ragged | None
    ) -> tuple[Ragged, Ragged | None]:
        """Return the ids of points and, if there are, of the objects they refer to.

        Events with ids that the label's type does not hold (text, large numbers), or all on request, are numbered anew: the
        ids of points and objects in ascending order from the first number that is no background.
        """
        count = len(raw.values)
        joined = join_flat([raw.values, objects.values]) if objects is not None and len(objects.values) else raw.values
        owners = raw.owners() if objects is None else np.concatenate([raw.owners(), objects.owners()])
        fixed = {str(value): value for value in label.background}
        fixed |= {str(key): value for key, value in self.mapping.values.get(name, {}).items()}
        ends, events = np.iinfo(label.type), len(raw.lengths)
        if joined.dtype.kind in "OUS":
            ids, wild = joined, np.ones(events, bool)
            special: Mask = np.isin(joined, list(fixed))
            values: Array = np.zeros(len(joined), np.int64)
            values[special] = [fixed[key] for key in joined[special]]
            low: Mask = np.zeros(len(joined), bool)
        else:
            ids, broken = whole_numbers(joined)
            block.flag_values(raw, broken[:count], name, "not whole numbers")
            special, values = np.zeros(len(ids), bool), ids
            for key, value in fixed.items():
                if key.lstrip("-").isdigit():
                    chosen = ids == int(key)
                    special |= chosen
                    if value != int(key):
                        values = np.where(chosen, np.int64(value), values.astype(np.int64))
            low = (ids < label.minimum) & ~special
            large = ~special & ((ids > ends.max) | (ids < ends.min))
            wild = np.ones(events, bool) if self.mapping.renumber else np.zeros(events, bool)
            wild[owners[large]] = True
        anew = wild[owners] & ~special & ~low
        block.flag_values(raw, (low & wild[owners])[:count], name, f"below {label.minimum}")
        if wild.any():
            start = max([label.minimum, 0, *(value + 1 for value in fixed.values() if value < 2**30)])
            numbers = values.astype(np.int64)
            numbers[anew] = start + ranks(ids[anew], owners[anew], events)
            numbers[low & wild[owners]] = max(label.minimum, ends.min)
            values = numbers
        points = Ragged(raw.offsets, values[:count].astype(label.type))
        return points, None if objects is None else Ragged(objects.offsets, values[count:].astype(label.type))


def scaled(values: Array, factor: Factor) -> Array:
    """Return values in another unit, in double precision unless nothing changes; exact whole numbers stay exact."""
    above, below = factor
    if above == below:
        return values if values.dtype.kind in "iuf" else values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # not finite then, which is checked for
        return values.astype(np.float64) * above / below


def whole_numbers(values: Array) -> tuple[Array, Mask]:
    """Return values as integers, and which of them are none (missing, fractions)."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong = ~((values == np.trunc(values)) & (np.abs(values) < 2.0**63))
        return np.where(wrong, 0, values).astype(np.int64), wrong
    return values.astype(np.int8) if values.dtype.kind == "b" else values, np.zeros(len(values), bool)


def ranks(ids: Array, owners: Index, events: int) -> Index:
    """Return the place of each id (N,) among the distinct ids of its event, ascending from 0."""
    if not len(ids):
        return np.zeros(0, np.int64)
    code = np.unique(ids, return_inverse=True)[1].astype(np.int64)
    span = int(code.max()) + 1
    pairs, place = np.unique(owners * span + code, return_inverse=True)
    first = np.searchsorted(pairs // span, np.arange(events))
    found: Index = place - first[owners]
    return found


def _key(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _typed(block: EventBlock, raw: Ragged, name: str, column: Column) -> Ragged:
    """Return a column of objects in its type."""
    if not column.type.startswith("int"):
        return Ragged(raw.offsets, raw.values.astype(column.type))
    values, wrong = whole_numbers(raw.values)
    ends = np.iinfo(column.type)
    wrong |= (values > ends.max) | (values < ends.min)
    block.flag_values(raw, wrong, name, f"not whole numbers from {ends.min} to {ends.max}")
    return Ragged(raw.offsets, np.where(wrong, 0, values).astype(column.type))


def select_lists(values: AnyMapping[str, Ragged], keep: Mask) -> dict[str, Ragged]:
    """Return some events of all columns."""
    return {name: column.select(keep) for name, column in values.items()}


def as_lists(values: Array, starts: Index) -> Ragged:
    """Return flat values as lists that begin at some rows."""
    return Ragged(offsets_of(np.diff([*starts, len(values)])), values)
