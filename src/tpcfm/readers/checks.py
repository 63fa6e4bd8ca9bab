"""What every event must hold, whatever its file: the rules of its detector, for readers and for event tables."""

from collections.abc import Iterator

import numpy as np

from tpcfm.detectors.model import ClassLabel, Detector, InstanceLabel, open_range
from tpcfm.errors import DataError
from tpcfm.readers.block import EventBlock
from tpcfm.readers.ragged import Array, Index, Mask, Ragged

Columns = dict[str, Ragged | None]


def fit_columns(detector: Detector, found: Columns) -> Columns:
    """Return the columns of a detector out of what a file holds; None for those it lacks."""
    names = [*"xyz", *(s.name for s in detector.signal), *detector.labels, *detector.object_columns]
    return {name: found.get(name) for name in names}


def one_signal(detector: Detector, path: object, form: str) -> str:
    """Return the column that takes the one signal of a format; "" for a detector without signal.

    Raises:
        DataError: the detector has more.
    """
    if len(detector.signal) > 1:
        names = ", ".join(signal.name for signal in detector.signal)
        raise DataError(f"{path}: {detector.name} has the signals {names}; {form} holds one per point")
    return detector.signal[0].name if detector.signal else ""


def range_text(low: float, high: float) -> str:
    """Say a range in words."""
    if low == -np.inf:
        return f"at most {high:g}" if high < np.inf else "any"
    return f"at least {low:g}" if high == np.inf else f"from {low:g} to {high:g}"


def outside_classes(label: ClassLabel) -> str:
    """Say in words what a value that is no class of a label is."""
    values = sorted(label.classes)
    if values == list(range(values[0], values[-1] + 1)):
        return f"outside {values[0]} to {values[-1]}"
    return "none of " + ", ".join(map(str, values))


def unknown_classes(label: ClassLabel, values: Array) -> Mask:
    """Return which values (N,) are no class of a label."""
    known = sorted(label.classes)
    low, high = known[0], known[-1]
    if known == list(range(low, high + 1)):
        return (values > high) | (values < low)
    return ~np.isin(values, known)


def wrong_ids(label: InstanceLabel, values: Array) -> Mask:
    """Return which ids (N,) are below the smallest allowed and no background."""
    wrong: Mask = values < label.minimum
    return wrong & ~np.isin(values, label.background) if label.background and wrong.any() else wrong


def pair_numbers(ids: Ragged) -> tuple[Index, int]:
    """Number the (event, id) pairs of a block of events.

    Args:
        ids: (N,) whole numbers, negative ones included.

    Returns:
        (N,) number of the pair of each point, and one more than the largest number (numbers may be left out).
    """
    values = ids.values.astype(np.int64)
    if len(values) == 0:
        return values, 0
    events = len(ids.offsets) - 1
    span = int(values.max()) - int(values.min()) + 1
    values = values - values.min()
    if span * events > 1 << 24:  # wild ids: number them by sorting instead of by a large table
        values = np.unique(ids.values, return_inverse=True)[1].astype(np.int64)
        span = int(values.max()) + 1
    if span * events > 1 << 24:
        pairs = ids.owners() * span + values
        number = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
        return number, int(number.max()) + 1
    return ids.owners() * span + values, span * events


def unlike_first(values: Array, instance: Index, count: int) -> Mask:
    """Return which values (N,) differ from the first of their instance (N,), of ``count`` instances."""
    first = np.zeros(count, values.dtype)
    first[instance[::-1]] = values[::-1]
    return first[instance] != values


def repeated_voxels(xyz: list[Ragged]) -> Mask:
    """Return which points (N,) lie in a voxel that occurs before in their event."""
    keys = [xyz[0].owners(), *(one.values.astype(np.int64) for one in xyz)]
    repeated = np.zeros(len(keys[0]), bool)
    if not len(repeated):
        return repeated
    spans = [int(key.max()) - int(key.min()) + 1 for key in keys]
    if float(np.prod(np.array(spans, float))) < 2**62:
        joint = np.zeros(len(repeated), np.int64)
        for key, span in zip(keys, spans):
            joint = joint * span + (key - key.min())
        ordered = np.sort(joint)
        if (ordered[1:] != ordered[:-1]).all():
            return repeated
        keys = [joint]
    order = np.lexsort(keys[::-1])  # stable: the first of a voxel stays first
    same = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
    repeated[order[1:][same]] = True
    return repeated


def check_events(block: EventBlock, detector: Detector) -> None:
    """Record every value of a block that its detector forbids.

    Lengths must fit already (`wrong_lengths`).

    Args:
        block: with the columns of the detector.
        detector: whose rules hold.
    """
    found = {name: column for name, column in block.columns.items() if column is not None}
    place = [found[axis] for axis in "xyz"]
    block.flag(place[0].lengths == 0, "x", "no points")
    limits, sides = detector.limits(), {axis: found[axis].values for axis in "xyz"}
    if detector.cylindrical:
        radius = np.hypot(sides["x"].astype(np.float64), sides["y"].astype(np.float64))
        _check_range(block, Ragged(place[0].offsets, radius), "radius", *limits["r"])
        limits = {"z": limits["z"]}
    for axis, (low, high) in limits.items():
        _check_range(block, found[axis], axis, low, high)
    if detector.lattice:
        block.flag_values(place[0], repeated_voxels(place), "x", "in voxels that occur before in the event; their x")
    for signal in detector.signal:
        _check_range(block, found[signal.name], signal.name, *open_range(signal.range))
    for name, label in detector.labels.items():
        if name not in found:
            continue
        values = found[name].values
        if isinstance(label, ClassLabel):
            block.flag_values(found[name], unknown_classes(label, values), name, outside_classes(label))
            if label.constant_in in found:
                ids, about = found[label.constant_in], detector.labels[label.constant_in]
                wrong = unlike_first(values, *pair_numbers(ids)) & (about.encode(ids.values) != -1)
                block.flag_values(found[name], wrong, name, f"unlike the first point of their {label.constant_in}")
        else:
            block.flag_values(found[name], wrong_ids(label, values), name, f"not {range_text(label.minimum, np.inf)}")
    for name, column in detector.object_columns.items():
        if name in found and column.finite and found[name].values.dtype.kind == "f":
            block.flag_values(found[name], ~np.isfinite(found[name].values), name, "not finite")
    _check_counts(block, detector, found)


def _check_counts(block: EventBlock, detector: Detector, found: dict[str, Ragged]) -> None:
    """Check that the points per object, where a detector has them, are no less than 0 and add up to the points."""
    for table, about in detector.objects.items():
        name = f"{table}_{about.counts}"
        if about.counts is None or name not in found:
            continue
        sizes = found[name]
        _check_range(block, sizes, name, 0, np.inf)
        ends = np.concatenate([[0], np.cumsum(sizes.values.astype(np.int64))])
        totals, points = ends[sizes.offsets[1:]] - ends[sizes.offsets[:-1]], found["x"].lengths
        for i in np.flatnonzero(totals != points):
            block.flag(np.arange(len(points)) == i, name, f"adds up to {totals[i]}, n_points is {points[i]}")


def _check_range(block: EventBlock, values: Ragged, column: str, low: float, high: float) -> None:
    given = values.values
    wrong = ~((given >= low) & (given <= high))
    if given.dtype.kind == "f":
        wrong |= ~np.isfinite(given)
    block.flag_values(
        values, wrong, column, f"not {range_text(low, high)}" if low > -np.inf or high < np.inf else "not finite"
    )


def wrong_lengths(detector: Detector, columns: Columns, points: Index) -> Iterator[tuple[str, int, str]]:
    """Yield ``(column, event, reason)`` for every column that has not as many values as it must.

    Args:
        detector: of the events.
        columns: of some events.
        points: (n,) points that each of them should have.
    """
    expected = dict.fromkeys([*"xyz", *(s.name for s in detector.signal), *detector.labels], points)
    for table, about in detector.objects.items():
        given = {f"{table}_{c}": column.per for c, column in about.columns.items() if columns.get(f"{table}_{c}")}
        if given:
            first = columns[next(iter(given))]
            assert first is not None
            rows = first.lengths // next(iter(given.values()))
            expected |= {name: rows * per for name, per in given.items()}
    for name, lengths in expected.items():
        column = columns.get(name)
        if column is not None:
            for i in np.flatnonzero(column.lengths != lengths):
                yield name, int(i), f"{column.lengths[i]} values, expected {lengths[i]}"
