"""Physics selections of tracks: truth kinematics, a helix-fit stand-in without them, efficiency in bins.

The published comparison with the experiment's own reconstruction counts tracks with |eta| < 1.1, pT > 1 GeV and at
least 20 spacepoints (arXiv 2508.14087, Sec. 5). Public files carry no momenta; helix fits make do with the points.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.evaluate.intervals import binomial_interval
from tpcfm.evaluate.tracking import Labels, matched_pairs, overlap
from tpcfm.tracking.helix_fit import fit_helices

FloatArray = npt.NDArray[np.floating]

MAX_ETA = 1.1
MIN_PT_GEV = 1.0
MIN_POINTS = 20


def momentum_to_pt_eta(px: FloatArray, py: FloatArray, pz: FloatArray) -> tuple[npt.NDArray[np.float64], ...]:
    """Return transverse momentum (GeV) and pseudorapidity of particles, (M,) each."""
    px, py, pz = (np.asarray(component, dtype=np.float64) for component in (px, py, pz))
    pt = np.hypot(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pt, np.arcsinh(pz / pt)


@dataclass(frozen=True)
class TrackTruth:
    """True tracks of one event with their kinematics, (A,) each, and whether a prediction matched them."""

    track: Labels
    points: npt.NDArray[np.int64]
    pt: npt.NDArray[np.float64]  # GeV; NaN if unknown
    eta: npt.NDArray[np.float64]
    matched: npt.NDArray[np.bool_]


def track_truth(
    truth: Labels, prediction: Labels, particle_track: Labels, pt: FloatArray, eta: FloatArray
) -> TrackTruth:
    """Join the true tracks of an event with the kinematics of their particles and the double-majority match.

    Args:
        truth, prediction: (N,) track labels.
        particle_track: (M,) track label of each particle (or of each fitted track); no label twice.
        pt, eta: (M,) their kinematics. Tracks without a particle get NaN.

    Raises:
        DataError: a track label stands twice in ``particle_track``.
    """
    particle_track = np.asarray(particle_track)
    ids, where = np.unique(particle_track, return_index=True)
    if len(ids) != len(particle_track):
        raise DataError("particle table: a track label stands twice; each particle makes one track")
    pairs = overlap(truth, prediction)
    real = pairs.true_ids >= 0
    matched = np.zeros(len(pairs.true_ids), dtype=bool)
    matched[pairs.true_index[matched_pairs(pairs)]] = True
    tracks = pairs.true_ids[real]
    kinematics = np.full((2, len(tracks)), np.nan)
    if len(ids):
        at = np.minimum(np.searchsorted(ids, tracks), len(ids) - 1)
        known = ids[at] == tracks
        kinematics[0, known] = np.asarray(pt, dtype=np.float64)[where[at[known]]]
        kinematics[1, known] = np.asarray(eta, dtype=np.float64)[where[at[known]]]
    return TrackTruth(tracks, pairs.true_sizes[real], kinematics[0], kinematics[1], matched[real])


def reference_selection(
    pt: FloatArray,
    eta: FloatArray,
    points: npt.NDArray[np.integer],
    *,
    min_pt: float = MIN_PT_GEV,
    max_eta: float = MAX_ETA,
    min_points: int = MIN_POINTS,
) -> npt.NDArray[np.bool_]:
    """Return which tracks pass |eta| < 1.1, pT > 1 GeV and at least 20 points; unknown kinematics (NaN) never pass."""
    with np.errstate(invalid="ignore"):
        return (np.asarray(pt) > min_pt) & (np.abs(eta) < max_eta) & (np.asarray(points) >= min_points)


def efficiency_in_bins(
    values: FloatArray, matched: npt.NDArray[np.bool_], edges: Sequence[float], level: float = 0.95
) -> pd.DataFrame:
    """Return matched / true tracks in bins of a quantity (pT, eta, points), with Wilson intervals.

    Returns:
        One row per bin [low edge, high edge): ``left right matched true efficiency low high``; NaN in empty bins.
    """
    values, matched = np.asarray(values, dtype=np.float64), np.asarray(matched, dtype=bool)
    rows = []
    for left, right in itertools.pairwise(edges):
        inside = (values >= left) & (values < right)
        passed, total = int(matched[inside].sum()), int(inside.sum())
        low, high = binomial_interval(passed, total, level)
        efficiency = passed / total if total else float("nan")
        rows.append((left, right, passed, total, efficiency, low, high))
    return pd.DataFrame(rows, columns=["left", "right", "matched", "true", "efficiency", "low", "high"])


def fitted_kinematics(
    track: Labels, x: FloatArray, y: FloatArray, z: FloatArray, *, pt_per_radius: float | None
) -> tuple[Labels, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the labels (A,) of the tracks of one event, and pT (GeV) and eta of a helix through the points of each (`fit_helices`)."""
    found = fit_helices(np.asarray(track), np.stack([x, y, z], axis=1), pt_per_radius)
    return found.track, found.pt, found.eta
