"""Efficiency of track finding for the tracks that experiments quote: at least 20 points, pT > 1 GeV, |eta| < 1.1.

The published comparison (arXiv 2508.14087, Sec. 5) has true momenta. Public files carry none, so there are up to three
numbers: from helix fits to the points of the true tracks (always), from the true momenta where the event tables have
them, and the latter for particles made at the beam line only (nuclei broken out of the calorimeter also have momenta
above 1 GeV, but no track from the vertex).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tpcfm.evaluate.intervals import binomial_interval
from tpcfm.evaluate.kinematics import fitted_kinematics, momentum_to_pt_eta, reference_selection, track_truth
from tpcfm.evaluate.tracking import Labels

NAMES = ("efficiency_selected", "efficiency_selected_truth", "efficiency_selected_primary")
BEAM_LINE_CM = 2.0
_COLUMNS = ("track", "px", "py", "pz", "vx", "vy")


@dataclass(frozen=True)
class Particles:
    """Truth particles of one event, (M,) each: track label, pT (GeV), eta, distance of production from the beam line."""

    track: Labels
    pt: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64]


def read_particles(folder: Path, event_ids: Iterable[str]) -> dict[str, Particles]:
    """Return the truth particles of events of a folder of event tables; events without any are left out.

    An empty folder gives an empty result: the tables may be gone once the caches are made.
    """
    wanted, found = set(event_ids), {}
    columns = [f"particle_{name}" for name in _COLUMNS]
    for path in sorted(folder.glob("*.parquet")):
        file = pq.ParquetFile(path)
        if path.name.endswith(".rejected.parquet") or not set(columns) <= set(file.schema_arrow.names):
            continue
        for batch in file.iter_batches(batch_size=1024, columns=["event_id", *columns]):
            ids = batch.column(0).to_pylist()
            for row in (i for i, name in enumerate(ids) if name in wanted):
                values = [batch.column(1 + i)[row].values for i in range(len(columns))]
                if values[0] is None:
                    continue
                track, px, py, pz, vx, vy = (value.to_numpy(zero_copy_only=False) for value in values)
                pt, eta = momentum_to_pt_eta(px, py, pz)
                first = np.unique(track, return_index=True)[1]
                found[ids[row]] = Particles(track[first], pt[first], eta[first], np.hypot(vx, vy)[first])
    return found


class SelectedTally:
    """Counts selected and matched tracks event by event, for each of `NAMES`.

    Args:
        pt_per_radius: of the detector; None without a field.
    """

    def __init__(self, pt_per_radius: float | None) -> None:
        self.pt_per_radius = pt_per_radius
        self.matched, self.true = np.zeros(3, np.int64), np.zeros(3, np.int64)

    def update(
        self, truth: Labels, prediction: Labels, xyz: npt.NDArray[np.floating], particles: Particles | None
    ) -> None:
        """Add one event: labels (N,), points (N, 3), and its truth particles if there are any."""
        fitted = track_truth(truth, prediction, *fitted_kinematics(truth, *xyz.T, pt_per_radius=self.pt_per_radius))
        self._count(0, fitted.matched, reference_selection(fitted.pt, fitted.eta, fitted.points))
        if particles is None:
            return
        known = track_truth(truth, prediction, particles.track, particles.pt, particles.eta)
        selected = reference_selection(known.pt, known.eta, known.points)
        self._count(1, known.matched, selected)
        primary = np.isin(known.track, particles.track[particles.distance < BEAM_LINE_CM])
        self._count(2, known.matched, selected & primary)

    def _count(self, which: int, matched: npt.NDArray[np.bool_], selected: npt.NDArray[np.bool_]) -> None:
        self.matched[which] += int((matched & selected).sum())
        self.true[which] += int(selected.sum())

    def values(self) -> dict[str, float]:
        """Return the efficiencies that have a track to count, and the numbers of these tracks (``*_tracks``)."""
        out: dict[str, float] = {}
        for name, matched, true in zip(NAMES, self.matched.tolist(), self.true.tolist(), strict=True):
            if true:
                out |= {name: matched / true, f"{name}_tracks": float(true)}
        return out

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % Wilson intervals of the efficiencies."""
        counts = zip(NAMES, self.matched.tolist(), self.true.tolist(), strict=True)
        return {name: binomial_interval(matched, true) for name, matched, true in counts if true}
