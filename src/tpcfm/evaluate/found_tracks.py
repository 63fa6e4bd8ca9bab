"""Found tracks as an experiment sees them: good, duplicate or fake, with the momentum and charge of their own helix fit beside the truth.

A found track is good if more than half of its points belong to one true track, the largest such share of that track; a further one
of the same true track is a duplicate; without a true track of more than half of its points it is a fake. Tracks of fewer than `MIN_POINTS`
points are left out on both sides.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.evaluate.intervals import binomial_interval, residual_spread
from tpcfm.evaluate.kinematics import track_truth
from tpcfm.evaluate.momentum_bins import MIN_POINTS
from tpcfm.evaluate.selected_tracks import Particles
from tpcfm.evaluate.tracking import Labels, Overlap, overlap
from tpcfm.tracking.helix_fit import fit_helices

NAME = "tracks.parquet"
"""File of a run: the rows of `FoundTracks.frame`."""
GOOD, DUPLICATE, FAKE = FATES = ("good", "duplicate", "fake")


def fates(pairs: Overlap) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Return of each predicted cluster (P,) what it is, and the row of its true track among ``pairs.true_ids``, -1 of a fake."""
    count = len(pairs.predicted_ids)
    owner, shared = np.full(count, -1), np.zeros(count, np.int64)
    real = (pairs.true_ids[pairs.true_index] >= 0) & (2 * pairs.shared > pairs.predicted_sizes[pairs.predicted_index])
    owner[pairs.predicted_index[real]] = pairs.true_index[real]
    shared[pairs.predicted_index[real]] = pairs.shared[real]
    fate = np.where(owner < 0, FAKE, GOOD).astype(object)
    order = np.lexsort((np.arange(count), -shared))  # the largest share of each true track first
    seen: set[int] = set()
    for cluster in order.tolist():
        if owner[cluster] >= 0 and pairs.predicted_ids[cluster] >= 0:
            if owner[cluster] in seen:
                fate[cluster] = DUPLICATE
            seen.add(int(owner[cluster]))
    return fate, owner


class FoundTracks:
    """Collects true and found tracks event by event.

    Args:
        pt_per_radius: of the detector.
    """

    def __init__(self, pt_per_radius: float | None) -> None:
        self.pt_per_radius = pt_per_radius
        self._parts: list[pd.DataFrame] = []

    def update(
        self, truth: Labels, prediction: Labels, xyz: npt.NDArray[np.floating], particles: Particles | None
    ) -> None:
        """Add one event: labels (N,), points (N, 3), and its truth particles if there are any."""
        occupancy = len(truth)
        fit = fit_helices(truth, xyz, self.pt_per_radius)
        if particles is None:
            tracks = track_truth(truth, prediction, fit.track, fit.pt, fit.eta)
        else:
            tracks = track_truth(truth, prediction, particles.track, particles.pt, particles.eta)
        charge = dict(zip(particles.track.tolist(), particles.charge.tolist(), strict=True)) if particles else {}
        known = {"known": particles is not None, "occupancy": occupancy}
        true = pd.DataFrame(
            {
                "kind": "true",
                "points": tracks.points,
                "pt": tracks.pt,
                "eta": tracks.eta,
                "matched": tracks.matched,
                **known,
            }
        )
        pairs = overlap(truth, prediction)
        found = fit_helices(prediction, xyz, self.pt_per_radius)  # in the order of `pairs.predicted_ids`
        fate, owner = fates(pairs)
        of = {int(track): row for row, track in enumerate(tracks.track)}
        rows = np.array([of.get(int(pairs.true_ids[o]), -1) if o >= 0 else -1 for o in owner], dtype=np.int64)
        right = np.append(tracks.pt, np.nan)[rows] if particles else np.full(len(rows), np.nan)
        charges = np.append([charge.get(int(track), 0) for track in tracks.track], 0)[rows]
        made = pd.DataFrame(
            {
                "kind": "found", "points": found.points, "pt": found.pt, "eta": found.eta, "charge": found.charge, "fate": fate,
                "true_pt": right, "true_charge": charges, **known,
            }
        )[pairs.predicted_ids >= 0]  # fmt: skip
        both = pd.concat([true, made])
        self._parts.append(both[both["points"] >= MIN_POINTS])

    @property
    def frame(self) -> pd.DataFrame:
        """One row per track: ``kind`` (true, found), ``points pt eta occupancy`` (points of its event), ``known`` (kinematics from the
        particles, else from fits to the true tracks), of true tracks ``matched`` (double majority), of found ones ``fate charge`` and
        what is true of the track they belong to, ``true_pt true_charge`` (NaN and 0 without particles). Momenta in GeV/c."""
        return pd.concat(self._parts, ignore_index=True) if self._parts else pd.DataFrame()

    def values(self) -> dict[str, float]:
        """Return shares of fakes and duplicates, and of good tracks with known momentum the resolution of pT and the share of right charges."""
        return {name: value for name, (value, _) in self._scores().items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals: of shares Wilson's, of resolution and bias from a bootstrap over tracks."""
        return {name: interval for name, (_, interval) in self._scores().items()}

    def _scores(self) -> Mapping[str, tuple[float, tuple[float, float]]]:
        frame = self.frame
        if frame.empty or not (frame["kind"] == "found").any():
            return {}
        found = frame[frame["kind"] == "found"]
        out: dict[str, tuple[float, tuple[float, float]]] = {}
        for name in (FAKE, DUPLICATE):
            out[f"{name}_rate"] = share((found["fate"] == name).to_numpy())
        good = measured(found)
        if len(good):
            out |= residual_spread(good["residual"].to_numpy(), "pt")
            out["charge_correct"] = share((good["charge"] == good["true_charge"]).to_numpy())
        return out


def measured(tracks: pd.DataFrame) -> pd.DataFrame:
    """Return the good found tracks whose true momentum and charge are known, with ``residual``: (fitted - true) / true pT."""
    good = tracks[
        (tracks["fate"] == GOOD) & tracks["true_pt"].gt(0) & tracks["true_charge"].ne(0) & np.isfinite(tracks["pt"])
    ]
    return good.assign(residual=good["pt"] / good["true_pt"] - 1)


def share(passed: npt.NDArray[Any]) -> tuple[float, tuple[float, float]]:
    """Return a share with its Wilson interval; NaN without trials."""
    total = len(passed)
    return (float(passed.mean()) if total else float("nan")), binomial_interval(int(passed.sum()), total)
