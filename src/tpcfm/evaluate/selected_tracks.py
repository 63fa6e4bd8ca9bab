"""Efficiency of track finding for the tracks that experiments quote: at least 20 points, pT > 1 GeV, |eta| < 1.1.

The published comparison (arXiv 2508.14087, Sec. 5) has true momenta. Public files carry none, so there are up to three
numbers: from helix fits to the points of the true tracks (always), from the true momenta where the events have
them, and the latter for particles made at the beam line only (nuclei broken out of the calorimeter also have momenta
above 1 GeV, but no track from the vertex).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import UNITS_CM, Detector
from tpcfm.evaluate.intervals import binomial_interval
from tpcfm.evaluate.kinematics import fitted_kinematics, momentum_to_pt_eta, reference_selection, track_truth
from tpcfm.evaluate.tracking import Labels

NAMES = ("efficiency_selected", "efficiency_selected_truth", "efficiency_selected_primary")
BEAM_LINE_CM = 2.0
GEV = {"GeV/c": 1.0, "GeV": 1.0, "MeV/c": 1e-3, "MeV": 1e-3}


@dataclass(frozen=True)
class Particles:
    """Truth particles of one event, (M,) each: track label, pT (GeV), eta, distance of production from the beam line, charge (0: not known)."""

    track: Labels
    pt: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64]
    charge: npt.NDArray[np.int64]


def event_particles(detector: Detector, label: str, event: Mapping[str, Any]) -> Particles | None:
    """Return the truth particles of an event: the table of objects that belongs to a label and holds momenta; None without one.

    Args:
        detector: of the event.
        label: of instances.
        event: with the columns of a prepared cache.
    """
    for name, table in detector.objects.items():
        columns = {column: event.get(f"{name}_{column}") for column in table.columns}
        ids = columns[next(iter(table.columns))]
        if table.instances != label or ids is None or not {"px", "py", "pz"} <= set(columns):
            continue
        momentum = GEV.get(table.columns["px"].unit, 1.0)
        pt, eta = momentum_to_pt_eta(*(momentum * np.asarray(columns[axis], np.float64) for axis in ("px", "py", "pz")))
        distance = np.full(len(ids), np.nan)
        if {"vx", "vy"} <= set(columns):
            distance = UNITS_CM.get(table.columns["vx"].unit, 1.0) * np.hypot(
                *(np.asarray(columns[axis], np.float64) for axis in ("vx", "vy"))
            )
        first = np.unique(ids, return_index=True)[1]
        held = columns.get("charge")
        charge = np.zeros(len(ids), np.int64) if held is None else np.asarray(held, np.int64)
        return Particles(np.asarray(ids)[first], pt[first], eta[first], distance[first], charge[first])
    return None


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
