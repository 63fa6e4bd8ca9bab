"""Statistics of the events of a dataset, gathered while ingesting and merged over its parts; plain JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tpcfm.detectors import pilarnet, sphenix
from tpcfm.errors import DataError
from tpcfm.events.histogram import Histogram, integer_edges, octave_edges
from tpcfm.readers.kernels import count_kept, count_values
from tpcfm.readers.ragged import Ragged, offsets_of
from tpcfm.readers.tpcpp import instances

Columns = Mapping[str, Ragged | None]

# Bin edges, said once: parts can only be merged if they agree.
_POINTS = octave_edges(0, 20)
_FEW = integer_edges(400)
_MEV = octave_edges(-10, 10)
_ADC = octave_edges(0, 16)
_CM = [float(edge) for edge in np.arange(25.0, 85.25, 0.25)]
_HISTOGRAMS = {
    "pilarnet": {
        "points_per_event": _POINTS,
        "kept_per_event": _POINTS,
        "clusters_per_event": _FEW,
        "groups_per_event": _FEW,
        "interactions_per_event": _FEW,
        "points_per_cluster": _POINTS,
        "energy": _MEV,
    },
    "tpcpp": {
        "points_per_event": _POINTS,
        "tracks_per_event": _FEW,
        "points_per_track": _POINTS,
        "energy": _ADC,
        "radius": _CM,
    },
}
_CLASSES: dict[str, dict[str, list[int]]] = {
    "pilarnet": {
        "semantic": sorted(pilarnet.SEMANTIC),
        "kept": list(range(pilarnet.LOW_ENERGY)),
        "pid": sorted(pilarnet.PID),
    },
    "tpcpp": {"pid": sorted(sphenix.PID), "noise": sorted(sphenix.NOISE)},
}


class Statistics:
    """Running statistics of one layout.

    ``histograms``: see `Histogram`. ``classes``: points per class; ``kept`` (PILArNet-M) are the points that pass the
    cuts of arXiv 2502.02558, per semantic class. Clusters, groups and interactions leave out the low-energy deposits.
    """

    def __init__(self, layout: str) -> None:
        self.layout = layout
        self.histograms = {name: Histogram(edges) for name, edges in _HISTOGRAMS[layout].items()}
        self.classes = {name: np.zeros(len(values), np.int64) for name, values in _CLASSES[layout].items()}

    def add(self, columns: Columns) -> None:
        """Add a block of events."""
        points = _given(columns, "energy")
        self.histograms["points_per_event"].add(points.lengths)
        self.histograms["energy"].add_float32(points.values.astype(np.float32, copy=False))
        if self.layout == "pilarnet":
            self._add_pilarnet(columns)
        else:
            self._add_tpcpp(columns)

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add what `to_json` gave for other events of the same layout.

        Raises:
            DataError: another layout or version.
        """
        try:
            for name, histogram in self.histograms.items():
                histogram.merge_json(other["histograms"][name])
            for name, values in _CLASSES[self.layout].items():
                self.classes[name] += np.array([other["classes"][name][str(value)] for value in values], np.int64)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"statistics do not fit the layout {self.layout!r}: {error!r}; ingest the parts again"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers: ``histograms``, ``classes`` (points) and ``shares`` (of the points)."""
        classes: dict[str, dict[str, int]] = {}
        shares: dict[str, dict[str, float | None]] = {}
        for name, values in _CLASSES[self.layout].items():
            counts, total = self.classes[name], int(self.classes[name].sum())
            classes[name] = {str(value): int(count) for value, count in zip(values, counts)}
            shares[name] = {str(value): int(count) / total if total else None for value, count in zip(values, counts)}
        histograms = {name: histogram.to_json() for name, histogram in self.histograms.items()}
        return {"layout": self.layout, "histograms": histograms, "classes": classes, "shares": shares}

    def _add_pilarnet(self, columns: Columns) -> None:
        energy, semantic, sizes = (_given(columns, name) for name in ("energy", "semantic", "cluster_size"))
        kept, per_class = count_kept(
            energy.values, semantic.values, energy.offsets, pilarnet.ENERGY_THRESHOLD_MEV, pilarnet.LOW_ENERGY
        )
        self.histograms["kept_per_event"].add(kept)
        self.classes["kept"] += per_class
        # Labels are constant within a cluster: look at one point of each that has any.
        filled = sizes.values > 0
        starts = offsets_of(sizes.values)[:-1][filled]
        size, owner = sizes.values[filled].astype(np.int64), sizes.owners()[filled]
        kinds = semantic.values[starts].astype(np.int64)
        self.classes["semantic"] += _weighted(kinds, size, _CLASSES["pilarnet"]["semantic"])
        pid = columns["pid"]
        if pid is not None:
            self.classes["pid"] += _weighted(pid.values[starts].astype(np.int64), size, _CLASSES["pilarnet"]["pid"])
        real = kinds != pilarnet.LOW_ENERGY
        self.histograms["points_per_cluster"].add(size[real])
        n_events = len(energy.offsets) - 1
        self.histograms["clusters_per_event"].add(np.bincount(owner[real], minlength=n_events))
        for name in ("group", "interaction"):
            labels = _given(columns, name).values[starts][real].astype(np.int64)
            pairs = np.unique(owner[real] << 32 | (labels & 0xFFFFFFFF)) >> 32
            self.histograms[f"{name}s_per_event"].add(np.bincount(pairs, minlength=n_events))

    def _add_tpcpp(self, columns: Columns) -> None:
        x, y = _given(columns, "x").values, _given(columns, "y").values
        self.histograms["radius"].add_radius(x, y)
        for name in ("pid", "noise"):
            labels = columns[name]
            if labels is not None:
                values = _CLASSES["tpcpp"][name]
                self.classes[name] += count_values(labels.values, values[0], len(values))
        tracks = columns["track"]
        if tracks is not None and len(tracks.values):
            number, count = instances(tracks)
            sizes = np.bincount(number, minlength=count)
            owner = np.zeros(count, np.int64)
            owner[number] = tracks.owners()
            self.histograms["points_per_track"].add(sizes[sizes > 0])
            self.histograms["tracks_per_event"].add(np.bincount(owner[sizes > 0], minlength=len(tracks.offsets) - 1))


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


def _given(columns: Columns, name: str) -> Ragged:
    column = columns[name]
    if column is None:
        raise DataError(f"column {name!r} is null, which it never is in this layout")
    return column


def _weighted(labels: Any, weights: Any, values: list[int]) -> Any:
    counts = np.bincount(labels - values[0], weights=weights, minlength=len(values))
    return counts.astype(np.int64)
