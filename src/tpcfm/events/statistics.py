"""Statistics of the events of a dataset, gathered while ingesting and merged over its parts; plain JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tpcfm.detectors.model import ClassLabel, Cylinder, Detector
from tpcfm.errors import DataError
from tpcfm.events.histogram import Histogram, integer_edges, octave_edges
from tpcfm.readers.kernels import object_sizes
from tpcfm.readers.ragged import Mask, Ragged, offsets_of

Columns = Mapping[str, Ragged | None]
RADIUS_BINS = 240


class Statistics:
    """Running statistics of the events of a detector.

    ``histograms`` (`Histogram`): points per event; per instance label ``<label>s_per_event`` and ``points_per_<label>``
    (without background); every signal under its name; ``radius`` in a cylinder; ``kept_per_event`` where points of some classes
    are removed or there is a threshold. ``classes``: points per value of every class label; ``kept``: the same of the points that
    stay. ``ranges``: smallest and largest coordinates. ``training``: number, sum and sum of squares of each signal in the
    events of the training split.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.removes = any(label.removed for label in detector.classes().values())
        self.removes |= any(signal.threshold is not None for signal in detector.signal)
        points, few, signals = octave_edges(0, 20), integer_edges(400), octave_edges(-20, 30)
        edges = {"points_per_event": points} | ({"kept_per_event": points} if self.removes else {})
        for name in detector.instances():
            edges |= {f"{name}s_per_event": few, f"points_per_{name}": points}
        edges |= {signal.name: signals for signal in detector.signal}
        if isinstance(detector.volume, Cylinder):
            low, high = detector.limits()["r"]
            edges["radius"] = np.linspace(low, min(high, 2 * detector.volume.r[1]), RADIUS_BINS + 1).tolist()
        self.histograms = {name: Histogram(bins) for name, bins in edges.items()}
        values = {name: sorted(label.classes) for name, label in detector.classes().items()}
        self.classes = {name: dict.fromkeys(known, 0) for name, known in values.items()}
        self.kept = {name: dict.fromkeys(known, 0) for name, known in values.items()} if self.removes else {}
        self.ranges: dict[str, list[float]] = {}
        self.training = {signal.name: {"n": 0, "sum": 0.0, "squares": 0.0} for signal in detector.signal}

    def add(self, columns: Columns, training: Mask) -> None:
        """Add a block of events.

        Args:
            columns: of the detector.
            training: (n,) whether each event is in the training split.
        """
        place = [_given(columns, axis) for axis in "xyz"]
        offsets = place[0].offsets
        self.histograms["points_per_event"].add(place[0].lengths)
        if not len(place[0].values):
            return
        for axis, one in zip("xyz", place):
            self._widen(axis, float(one.values.min()), float(one.values.max()))
        if "radius" in self.histograms:
            self.histograms["radius"].add_radius(place[0].values, place[1].values)
        for name, moments in self.training.items():
            found = self.histograms[name].add_float32(_given(columns, name).values, offsets, training)
            for key, value in zip(moments, found):
                moments[key] += value
        for name, label in self.detector.instances().items():
            ids = columns.get(name)
            if ids is not None:
                background, ends = np.array(label.background, np.int64), (int(ids.values.min()), int(ids.values.max()))
                sizes, per_event = object_sizes(ids.values, offsets, background, *ends)
                self.histograms[f"{name}s_per_event"].add(per_event)
                self.histograms[f"points_per_{name}"].add(sizes)
        stay = self._staying(columns, len(place[0].values)) if self.removes else None
        if stay is not None:
            self.histograms["kept_per_event"].add(np.diff(offsets_of(stay)[offsets]))
        for name in self.classes:
            labels = columns.get(name)
            if labels is not None:
                for value in self.classes[name]:
                    chosen = labels.values == value
                    self.classes[name][value] += int(np.count_nonzero(chosen))
                    if stay is not None:
                        self.kept[name][value] += int(np.count_nonzero(chosen & stay))

    def _staying(self, columns: Columns, points: int) -> Mask:
        """Return which points pass the cuts of the detector: removed classes, thresholds of the signals."""
        stay = np.ones(points, bool)
        for name, label in self.detector.labels.items():
            values = columns.get(name)
            for removed in label.removed if isinstance(label, ClassLabel) and values is not None else []:
                stay &= _given(columns, name).values != removed
        for signal in self.detector.signal:
            if signal.threshold is not None:
                stay &= _given(columns, signal.name).values > signal.threshold
        return stay

    def _widen(self, axis: str, low: float, high: float) -> None:
        known = self.ranges.get(axis, [low, high])
        self.ranges[axis] = [min(low, known[0]), max(high, known[1])]

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add what `to_json` gave for other events of the same detector.

        Raises:
            DataError: another detector or version.
        """
        try:
            for name, histogram in self.histograms.items():
                histogram.merge_json(other["histograms"][name])
            for kind, mine in (("classes", self.classes), ("kept", self.kept)):
                for name, counts in mine.items():
                    for value in counts:
                        counts[value] += other[kind][name][str(value)]
            for axis, (low, high) in other["ranges"].items():
                self._widen(axis, low, high)
            for name, moments in self.training.items():
                for key in moments:
                    moments[key] += other["training"][name][key]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"statistics do not fit the detector {self.detector.name!r}: {error!r}; ingest the parts again"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers; ``shares`` are those of ``classes`` among the labelled points."""
        classes = {name: {str(v): int(c) for v, c in counts.items()} for name, counts in self.classes.items()}
        kept = {name: {str(v): int(c) for v, c in counts.items()} for name, counts in self.kept.items()}
        shares = {
            name: {v: c / sum(counts.values()) if any(counts.values()) else None for v, c in counts.items()}
            for name, counts in classes.items()
        }
        histograms = {name: histogram.to_json() for name, histogram in self.histograms.items()}
        return {
            "histograms": histograms,
            "classes": classes,
            "shares": shares,
            "kept": kept,
            "ranges": self.ranges,
            "training": self.training,
        }


def columns_of(batch: pa.Table) -> dict[str, Ragged | None]:
    """Return the list columns of an event table as ragged arrays; a column with nulls counts as absent."""
    columns: dict[str, Ragged | None] = {}
    for name in batch.column_names:
        array = batch.column(name).combine_chunks()
        if pa.types.is_list(array.type):
            if array.null_count:
                columns[name] = None
                continue
            offsets = array.offsets.to_numpy().astype(np.int64)
            values = array.values.to_numpy(zero_copy_only=False)
            columns[name] = Ragged(offsets - offsets[0], values[offsets[0] : offsets[-1]])
    return columns


def training_events(splits: npt.ArrayLike) -> Mask:
    """Return which of the splits (n,) are the training split."""
    return np.asarray(splits, dtype=object) == "train"


def _given(columns: Columns, name: str) -> Ragged:
    column = columns[name]
    if column is None:
        raise DataError(f"column {name!r} is null, which coordinates and signals never are")
    return column
