"""Order of the points of a collider event: hierarchical raster scan and alternatives (arXiv 2508.14087, Sec. 3.1)."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.sphenix import LAYER_RADII_CM, REGION_EDGES_CM
from tpcfm.errors import ConfigError, DataError
from tpcfm.files import read_json, short_hash, write_json
from tpcfm.prepare.geometry.space_filling import BITS, hilbert_code, lattice, morton_code
from tpcfm.prepare.sequences.features import layer_index, normalised_radius
from tpcfm.prepare.sequences.settings import SerializationConfig

FORMAT = 1
_ETA, _PHI, _R = 1, 2, 3  # columns of the features
_KEYS = {"eta": _ETA, "phi": _PHI, "r": _R}


@dataclass(frozen=True)
class BinEdges:
    """Edges of the boxes in normalised eta, phi and r, and what they were fitted on."""

    scaling: str
    eta: tuple[float, ...]
    phi: tuple[float, ...]
    r: tuple[float, ...]
    n_events: int
    n_points: int

    @property
    def bins(self) -> tuple[int, int, int]:
        """Number of boxes in eta, phi, r."""
        return len(self.eta) - 1, len(self.phi) - 1, len(self.r) - 1

    @property
    def fingerprint(self) -> str:
        """Short hash of the edges: two models with the same one see points in the same order."""
        return short_hash([self.scaling, self.eta, self.phi, self.r])

    def save(self, path: str | Path) -> None:
        """Write the edges as JSON, atomically."""
        write_json(path, {"format": FORMAT, "fingerprint": self.fingerprint, **asdict(self)})

    @classmethod
    def load(cls, path: str | Path) -> "BinEdges":
        """Read edges written by :meth:`save`, or made by hand in the same layout.

        Raises:
            DataError: the file is missing or malformed. Edges are never derived anew in its place: other edges feed a
                trained model another order without any visible sign.
        """
        if not Path(path).is_file():
            raise DataError(
                f"{path}: no bin edges here. They belong to the model or cache they were fitted for and are not "
                "derived again silently; give the edges file of that model, or fit new ones for a new cache"
            )
        return cls.from_dict(read_json(path), source=str(path))

    @classmethod
    def from_dict(cls, value: Any, source: str = "edges") -> "BinEdges":
        """Build from plain values, checked.

        Raises:
            DataError: a key is missing, or edges do not strictly increase.
        """
        try:
            if value["format"] != FORMAT:
                raise DataError(f"{source}: edges of format {value['format']!r}; this version reads {FORMAT}")
            axes = {axis: tuple(float(edge) for edge in value[axis]) for axis in ("eta", "phi", "r")}
            edges = cls(str(value["scaling"]), **axes, n_events=int(value["n_events"]), n_points=int(value["n_points"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source}: not an edges file (format, scaling, eta, phi, r, n_events, n_points): {error!r}"
            ) from error
        for axis, values in axes.items():
            if len(values) < 2 or not np.all(np.isfinite(values)) or np.any(np.diff(values) <= 0):
                raise DataError(f"{source}: edges of {axis} must be finite and strictly increase; found {list(values)}")
        return edges

    def check(self, config: SerializationConfig, source: str = "edges") -> None:
        """Make sure that the edges were fitted for these settings.

        Raises:
            DataError: they hold another scaling or another number of boxes.
        """
        if self.scaling != config.scaling:
            raise DataError(
                f"{source}: fitted with scaling {self.scaling!r}, but the settings ask for {config.scaling!r}"
            )
        if self.bins != tuple(config.bins):
            raise DataError(
                f"{source}: holds {self.bins} boxes (eta, phi, r), but the settings ask for {tuple(config.bins)}"
            )


def fit_bin_edges(features: npt.NDArray[np.floating], config: SerializationConfig, *, n_events: int) -> BinEdges:
    """Fit the box edges on the points of many events.

    Eta and phi: equal-population quantiles with the outermost edges at 0 and 1. Radius: the readout regions (borders
    midway between their layers), each divided into ``bins[2] / 3`` parts of equal population, with the smallest and
    largest radius of the sample outermost. Borders inside a region are set midway between the two layers where the
    population divides best, so that no layer is cut by rounding. A number of radial boxes that is no multiple of three
    ignores the regions.

    Args:
        features: (N, 4) normalised energy, eta, phi, r.

    Raises:
        DataError: the sample is too small or too uniform for that many boxes.
    """
    points = np.asarray(features, dtype=np.float64)
    if len(points) == 0 or not np.isfinite(points).all():
        raise DataError(f"bin edges: need finite points to fit on; found {len(points)} points")
    n_eta, n_phi, n_r = config.bins
    edges = BinEdges(
        scaling=config.scaling,
        eta=_quantile_edges(points[:, _ETA], n_eta),
        phi=_quantile_edges(points[:, _PHI], n_phi),
        r=_radial_edges(points[:, _R], n_r, config.scaling),
        n_events=n_events,
        n_points=len(points),
    )
    return BinEdges.from_dict({"format": FORMAT, **asdict(edges)}, source=f"edges fitted on {len(points)} points")


def _quantile_edges(values: npt.NDArray[np.float64], n: int) -> tuple[float, ...]:
    inner = np.quantile(values, np.arange(1, n) / n)
    return (0.0, *(float(edge) for edge in inner), 1.0)


def _radial_edges(radius: npt.NDArray[np.float64], n: int, scaling: str) -> tuple[float, ...]:
    borders = [float(edge) for edge in normalised_radius(np.array(REGION_EDGES_CM), scaling)]
    layers = layer_index(radius, scaling)
    centres = normalised_radius(LAYER_RADII_CM, scaling)
    if n % 3:
        inner, regions = [], [(0, len(centres))]
        parts = n
    else:
        inner = list(borders)
        first = np.searchsorted(centres, borders)
        regions = [(0, int(first[0])), (int(first[0]), int(first[1])), (int(first[1]), len(centres))]
        parts = n // 3
    population = np.bincount(layers, minlength=len(centres))
    for start, stop in regions:
        below = np.cumsum(population[start:stop])[:-1]  # points up to and including each layer but the last
        if parts > stop - start:
            raise DataError(f"bin edges: {parts} radial boxes in a region of {stop - start} layers")
        for part in range(1, parts):
            best = int(np.argmin(np.abs(below - population[start:stop].sum() * part / parts))) + start
            inner.append(float((centres[best] + centres[best + 1]) / 2))
    return (float(radius.min()), *sorted(inner), float(radius.max()))


def box_rank(features: npt.NDArray[np.float32], edges: BinEdges, box_order: str = "r_phi_eta") -> npt.NDArray[np.int64]:
    """Return the rank of each point's box, lexicographic with the first key of ``box_order`` outermost.

    Bins are closed on the right: bin i holds edge[i] < value <= edge[i + 1]. Values outside go to the nearest box.
    """
    names = box_order.split("_")
    if sorted(names) != sorted(_KEYS):
        raise ConfigError(f"box_order: {box_order!r} is not a permutation of r, phi, eta joined by underscores")
    rank = np.zeros(len(features), dtype=np.int64)
    for name in names:
        inner = np.asarray(getattr(edges, name)[1:-1], dtype=np.float64)
        box = np.searchsorted(inner, features[:, _KEYS[name]].astype(np.float64), side="left")
        rank = rank * (len(inner) + 1) + box
    return rank


def serial_order(
    features: npt.NDArray[np.float32], config: SerializationConfig, edges: BinEdges | None = None
) -> npt.NDArray[np.int64]:
    """Return the order (N,) in which the points of one event are read: ``features[order]`` is the sequence.

    Ties are resolved by r, phi, eta, energy and at last by row, so the sequence does not depend on the order given.

    Args:
        features: (N, 4) normalised energy, eta, phi, r.
        config: the order: ``raster`` (boxes, then r inside a box), ``hilbert``, ``morton``, ``radial``.
        edges: box edges; needed for ``raster`` only.

    Raises:
        DataError: ``raster`` without edges, or with edges of another setting.
    """
    energy, eta, phi, radius = features.T
    within = (energy, eta, phi, radius)  # np.lexsort: the last key is the most significant
    if config.order == "radial":
        return np.lexsort(within)
    if config.order == "raster":
        if edges is None:
            raise DataError(
                "raster order: bin edges are missing; fit them on training events or load those of the model"
            )
        edges.check(config)
        return np.lexsort((*within, box_rank(features, edges, config.box_order)))
    cells = lattice(features[:, [_ETA, _R, _PHI]])
    code = hilbert_code(cells, BITS) if config.order == "hilbert" else morton_code(cells, BITS)
    return np.lexsort((*within, code))


def radial_rank(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Return each point's place (N,) in the radius-sorted order, with the same ties as :func:`serial_order`."""
    rank = np.empty(len(features), dtype=np.int32)
    rank[np.lexsort(tuple(features.T))] = np.arange(len(features), dtype=np.int32)
    return rank
