"""Order of the points of an event: hierarchical raster scan and alternatives (arXiv 2508.14087, Sec. 3.1)."""

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from tpcfm.detectors.model import AffineScaling, Detector, LogScaling, Scaling
from tpcfm.errors import ConfigError, DataError
from tpcfm.files import read_json, short_hash, write_json
from tpcfm.prepare.geometry.space_filling import BITS, hilbert_code, lattice, morton_code
from tpcfm.prepare.sequences.features import level_index, level_places, ranges
from tpcfm.prepare.sequences.settings import SerializationConfig

FORMAT = 2
_SCALING: TypeAdapter[LogScaling | AffineScaling | None] = TypeAdapter(Scaling | None)


@dataclass(frozen=True)
class BoxEdges:
    """Edges of the boxes in network coordinates, the signal scaling that goes with them, and what they were fitted on."""

    detector: str
    preset: str
    axes: dict[str, tuple[float, ...]]  # by name, in the order of `Detector.axes`
    signal: LogScaling | AffineScaling | None
    n_events: int
    n_points: int
    n_asked: tuple[int, int, int] | None = None  # boxes asked for, where the points divide into fewer

    @property
    def asked(self) -> tuple[int, int, int]:
        """Number of boxes in the settings that these edges were fitted with."""
        return self.n_asked or self.bins

    @property
    def bins(self) -> tuple[int, int, int]:
        """Number of boxes along each axis."""
        first, second, third = (len(edges) - 1 for edges in self.axes.values())
        return first, second, third

    @property
    def fingerprint(self) -> str:
        """Short hash of the edges: two models with the same one see points in the same order and scale."""
        return short_hash({k: v for k, v in self.plain().items() if not k.startswith("n_")})

    def plain(self) -> dict[str, Any]:
        """Return the edges as JSON values."""
        signal = None if self.signal is None else self.signal.model_dump(mode="json")
        plain = {**asdict(self), "axes": {k: list(v) for k, v in self.axes.items()}, "signal": signal}
        return plain if self.n_asked else {k: v for k, v in plain.items() if k != "n_asked"}

    def save(self, path: str | Path) -> None:
        """Write the edges as JSON, atomically."""
        write_json(path, {"format": FORMAT, "fingerprint": self.fingerprint, **self.plain()})

    @classmethod
    def load(cls, path: str | Path) -> "BoxEdges":
        """Read edges written by :meth:`save`, or made by hand in the same layout.

        Raises:
            DataError: the file is missing or malformed. Edges are never derived anew in its place: other edges feed a
                trained model another order without any visible sign.
        """
        if not Path(path).is_file():
            raise DataError(
                f"{path}: no box edges here. They belong to the model or cache they were fitted for and are not "
                "derived again silently; give the edges file of that model, or fit new ones for a new cache"
            )
        return cls.from_dict(read_json(path), source=str(path))

    @classmethod
    def from_dict(cls, value: Any, source: str = "edges") -> "BoxEdges":
        """Build from plain values, checked.

        Raises:
            DataError: a key is missing, or edges do not strictly increase.
        """
        try:
            if value["format"] != FORMAT:
                raise DataError(f"{source}: edges of format {value['format']!r}; this version reads {FORMAT}")
            axes = {str(axis): tuple(map(float, edges)) for axis, edges in value["axes"].items()}
            signal = _SCALING.validate_python(value["signal"])
            counts = {name: int(value[name]) for name in ("n_events", "n_points")}
            asked = value.get("n_asked") and TypeAdapter(tuple[int, int, int]).validate_python(value["n_asked"])
            edges = cls(str(value["detector"]), str(value["preset"]), axes, signal, **counts, n_asked=asked)
            if len(axes) != 3:
                raise ValueError(f"{len(axes)} axes")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source}: not an edges file (format, detector, preset, axes, signal, n_events, n_points): {error!r}"
            ) from error
        for axis, values in axes.items():
            if len(values) < 2 or not np.all(np.isfinite(values)) or np.any(np.diff(values) <= 0):
                raise DataError(f"{source}: edges of {axis} must be finite and strictly increase; found {list(values)}")
        return edges

    def check(self, config: SerializationConfig, detector: Detector | None = None, source: str = "edges") -> None:
        """Make sure that the edges were fitted for these settings, and for this detector if given.

        Raises:
            DataError: they hold another preset, another number of boxes, or belong to another detector.
        """
        if self.preset != config.preset:
            raise DataError(f"{source}: fitted with preset {self.preset!r}, but the settings ask for {config.preset!r}")
        if self.asked != tuple(config.bins):
            axes = ", ".join(self.axes)
            raise DataError(
                f"{source}: holds {self.asked} boxes ({axes}), but the settings ask for {tuple(config.bins)}"
            )
        if detector is not None and (self.detector, tuple(self.axes)) != (detector.name, detector.axes):
            raise DataError(
                f"{source}: fitted on events of {self.detector} ({', '.join(self.axes)}), but these are of"
                f" {detector.name} ({', '.join(detector.axes)})"
            )


def fit_box_edges(
    places: npt.NDArray[np.floating], detector: Detector, config: SerializationConfig, *, n_events: int
) -> BoxEdges:
    """Fit the box edges on the points of many events.

    First and second axis: equal-population quantiles with the outermost edges at 0 and 1. Third axis: the readout regions of
    the layers (borders midway between their layers), each divided into parts of equal population, with the smallest and
    largest value of the sample outermost. Borders inside a region are set midway between the two layers (steps of the
    pitch, without layers) where the population divides best, so that no layer is cut by rounding. A number of boxes that is
    no multiple of the regions ignores them. Where the points do not divide into that many boxes (few levels or cells), there are
    fewer.

    Args:
        places: (N, 3) network coordinates.
        detector: of the events; with a fixed scaling of its signal.
        config: preset of the coordinates, number of boxes.
        n_events: events that the points come from.

    Raises:
        DataError: no points, or some that are not finite.
    """
    points = np.asarray(places, dtype=np.float64)
    if len(points) == 0 or not np.isfinite(points).all():
        raise DataError(f"box edges: need finite points to fit on; found {len(points)} points")
    first, second, third = config.bins
    edges = (
        _quantile_edges(points[:, 0], first),
        _quantile_edges(points[:, 1], second),
        _level_edges(points[:, 2], third, detector, config.preset),
    )
    scaling = detector.signal_scaling()
    if scaling == "auto":
        raise DataError("box edges: the scaling of the signal must be fixed before")
    made = BoxEdges(detector.name, config.preset, dict(zip(detector.axes, edges)), scaling, n_events, len(points))
    if made.bins != config.bins:
        made = replace(made, n_asked=config.bins)
    return BoxEdges.from_dict({"format": FORMAT, **made.plain()}, source=f"edges fitted on {len(points)} points")


def _quantile_edges(values: npt.NDArray[np.float64], n: int) -> tuple[float, ...]:
    inner = np.unique(
        np.quantile(values, np.arange(1, n) / n)
    )  # equal ones: a pad or voxel holds many points, as of a beam
    return (0.0, *(float(edge) for edge in inner if 0 < edge < 1), 1.0)


def _level_edges(values: npt.NDArray[np.float64], n: int, detector: Detector, preset: str) -> tuple[float, ...]:
    levels = level_index(values, detector, preset)
    if detector.layers is None:
        found = np.arange(levels.min(), levels.max() + 1)
    else:
        found = np.arange(len(detector.layers.radii))
    centres = level_places(found, detector, preset)
    offset, width = ranges(detector, preset)[2]
    borders = [(border - offset) / width for border in (detector.layers.regions if detector.layers else [])]
    if n % (len(borders) + 1):
        borders = []
    parts = n // (len(borders) + 1)
    bounds = [0, *np.searchsorted(centres, borders).tolist(), len(centres)]
    population = np.bincount(levels - found[0], minlength=len(centres))
    inner = list(borders)
    for start, stop in pairwise(bounds):
        below = np.cumsum(population[start:stop])[:-1]  # points up to and including each level but the last
        own = min(parts, stop - start)
        best = -1
        for part in range(1, own):
            distance = np.abs(below - population[start:stop].sum() * part / own)
            free = slice(best + 1, len(below) - (own - 1 - part))  # every part gets a level of its own
            best = int(np.argmin(distance[free])) + best + 1
            inner.append(float((centres[start + best] + centres[start + best + 1]) / 2))
    low, high = float(values.min()), float(values.max())
    return (low, *sorted(inner), high if high > low else low + 1)  # all points on one level: one box


def box_rank(features: npt.NDArray[np.float32], edges: BoxEdges, box_order: str = "") -> npt.NDArray[np.int64]:
    """Return the rank of each point's box, lexicographic with the first key of ``box_order`` outermost.

    Bins are closed on the right: bin i holds edge[i] < value <= edge[i + 1]. Values outside go to the nearest box.

    Raises:
        ConfigError: ``box_order`` does not name every axis once.
    """
    columns = {axis: column for column, axis in enumerate(edges.axes, 1)}
    names = box_order.split("_") if box_order else list(columns)[::-1]
    if sorted(names) != sorted(columns):
        axes = ", ".join(columns)
        raise ConfigError(f"box_order: {box_order!r} is not a permutation of {axes} joined by underscores")
    rank = np.zeros(len(features), dtype=np.int64)
    for name in names:
        inner = np.asarray(edges.axes[name][1:-1], dtype=np.float64)
        box = np.searchsorted(inner, features[:, columns[name]].astype(np.float64), side="left")
        rank = rank * (len(inner) + 1) + box
    return rank


def serial_order(
    features: npt.NDArray[np.float32], config: SerializationConfig, edges: BoxEdges | None = None
) -> npt.NDArray[np.int64]:
    """Return the order (N,) in which the points of one event are read: ``features[order]`` is the sequence.

    Ties are resolved by third, second and first coordinate, signal and at last by row, so the sequence does not depend on
    the order given.

    Args:
        features: (N, 4) scaled signal and network coordinates.
        config: the order: ``raster`` (boxes, then outwards inside a box), ``hilbert``, ``morton``, ``radial`` (outwards).
        edges: box edges; needed for ``raster`` only.

    Raises:
        DataError: ``raster`` without edges, or with edges of another setting.
    """
    within = tuple(features.T)  # np.lexsort: the last key is the most significant
    if config.order == "radial":
        return np.lexsort(within)
    if config.order == "raster":
        if edges is None:
            raise DataError(
                "raster order: box edges are missing; fit them on training events or load those of the model"
            )
        edges.check(config)
        return np.lexsort((*within, box_rank(features, edges, config.box_order)))
    cells = lattice(features[:, [1, 3, 2]])
    code = hilbert_code(cells, BITS) if config.order == "hilbert" else morton_code(cells, BITS)
    return np.lexsort((*within, code))


def radial_rank(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Return each point's place (N,) in the order outwards, with the same ties as :func:`serial_order`."""
    rank = np.empty(len(features), dtype=np.int32)
    rank[np.lexsort(tuple(features.T))] = np.arange(len(features), dtype=np.int32)
    return rank
