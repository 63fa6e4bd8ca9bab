"""Efficiency of track finding in bins of transverse momentum, from the true momenta or from helix fits to the true tracks.

Truth is used where the event tables hold particles; public files hold none, so the fitted numbers (`fit_helices`, good above
0.15 GeV) are always there too.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.evaluate.intervals import binomial_interval
from tpcfm.evaluate.kinematics import TrackTruth, fitted_kinematics, track_truth
from tpcfm.evaluate.selected_tracks import Particles
from tpcfm.evaluate.tracking import Labels

PT_EDGES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
MIN_POINTS = 5
PREFIXES = {"fit": "efficiency_pt_fit", "truth": "efficiency_pt_truth"}


class MomentumTally:
    """Counts true and matched tracks of at least `MIN_POINTS` points in bins of pT, event by event.

    Args:
        pt_per_radius: of the detector; None without a field.
    """

    def __init__(self, pt_per_radius: float | None) -> None:
        self.pt_per_radius = pt_per_radius
        self._counts = {kind: np.zeros((2, len(PT_EDGES) - 1), np.int64) for kind in PREFIXES}

    def update(
        self, truth: Labels, prediction: Labels, xyz: npt.NDArray[np.floating], particles: Particles | None
    ) -> None:
        """Add one event: labels (N,), points (N, 3), and its truth particles if there are any."""
        self._add(
            "fit", track_truth(truth, prediction, *fitted_kinematics(truth, *xyz.T, pt_per_radius=self.pt_per_radius))
        )
        if particles is not None:
            self._add("truth", track_truth(truth, prediction, particles.track, particles.pt, particles.eta))

    def _add(self, kind: str, tracks: TrackTruth) -> None:
        use = (tracks.points >= MIN_POINTS) & np.isfinite(tracks.pt)
        for row, chosen in enumerate((use, use & tracks.matched)):
            self._counts[kind][row] += np.histogram(tracks.pt[chosen], PT_EDGES)[0]

    def _bins(self) -> list[tuple[str, int, int]]:
        found = []
        for kind, (true, matched) in self._counts.items():
            for (low, high), n, m in zip(pairwise(PT_EDGES), true.tolist(), matched.tolist(), strict=True):
                if n:
                    found.append((f"{PREFIXES[kind]}_{low:g}_{high:g}", n, m))
        return found

    def values(self) -> dict[str, float]:
        """Return ``<prefix>_<low>_<high>`` and ``<prefix>_<low>_<high>_tracks`` (GeV) of every bin with tracks."""
        out: dict[str, float] = {}
        for name, true, matched in self._bins():
            out |= {name: matched / true, f"{name}_tracks": float(true)}
        return out

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % Wilson intervals of the efficiencies."""
        return {name: binomial_interval(matched, true) for name, true, matched in self._bins()}


def momentum_rows(metrics: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the rows of a metrics table that hold binned efficiencies, with ``pt_low pt_high tracks`` (GeV) added.

    Args:
        metrics: columns ``metric`` and ``value`` and any others, such as the run.
        kind: ``fit`` or ``truth``.
    """
    pattern = rf"^{PREFIXES[kind]}_([0-9.]+)_([0-9.]+)(_tracks)?$"
    parts = metrics["metric"].str.extract(pattern)
    here = parts[0].notna().to_numpy()
    rows, parts = metrics[here].copy(), parts[here]
    rows["pt_low"], rows["pt_high"] = parts[0].to_numpy(dtype=float), parts[1].to_numpy(dtype=float)
    is_count = parts[2].notna().to_numpy()
    keys = [name for name in rows.columns if name not in ("metric", "value", "low", "high")]
    counts = rows[is_count][[*keys, "value"]].rename(columns={"value": "tracks"})
    return rows[~is_count].merge(counts, on=keys, how="left")
