"""Physics selections of tracks: truth kinematics, a helix-fit stand-in without them, efficiency in bins.

The published comparison with the experiment's own reconstruction counts tracks with |eta| < 1.1, pT > 1 GeV and at
least 20 spacepoints (arXiv 2508.14087, Sec. 5). Public files carry no momenta; `helix_proxy` makes do with the points.
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


def circle_fit(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Return centre x, centre y and radius of the circle through points (algebraic fit of Pratt, CVIM 58, 1987).

    The normalisation of Pratt has little bias on the short arcs of stiff tracks. NaN below three points; straight lines
    give a very large radius.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) < 3:
        return (float("nan"),) * 3
    # Centred and scaled, so that the moments are of order one.
    middle = np.array([x.mean(), y.mean()])
    size = float(np.sqrt(((x - middle[0]) ** 2 + (y - middle[1]) ** 2).mean()))
    if size == 0:
        return (float("nan"),) * 3
    u, v = (x - middle[0]) / size, (y - middle[1]) / size
    design = np.stack([u * u + v * v, u, v, np.ones_like(u)], axis=1)
    # Minimise |design @ a| with a1^2 + a2^2 - 4 a0 a3 = 1: the smallest positive eigenvalue of the pencil.
    _, singular, rows = np.linalg.svd(design, full_matrices=True)
    if len(singular) < 4 or singular[3] < 1e-12 * singular[0]:
        a = rows[3]
    else:
        inverse = np.array([[0, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 0], [-0.5, 0, 0, 0]])
        root = (rows.T * singular) @ rows
        values, vectors = np.linalg.eigh(root @ inverse @ root)
        positive = int(np.flatnonzero(values > 0)[0])
        a = np.linalg.solve(root, vectors[:, positive])
    discriminant = max(a[1] ** 2 + a[2] ** 2 - 4 * a[0] * a[3], 0.0)
    if abs(a[0]) < 1e-12 * np.sqrt(discriminant):
        return float("nan"), float("nan"), float("inf")
    centre = -a[1:3] / (2 * a[0]) * size + middle
    return float(centre[0]), float(centre[1]), float(np.sqrt(discriminant) / (2 * abs(a[0])) * size)


def helix_proxy(x: FloatArray, y: FloatArray, z: FloatArray, pt_per_radius: float | None) -> tuple[float, float]:
    """Return transverse momentum (GeV) and pseudorapidity of a track from its points, without truth.

    A circle in the transverse plane gives pT: ``pt_per_radius`` (`Detector.pt_per_radius`; None: no field, pT is NaN) times
    its radius, 0.0042 GeV/cm at 1.4 T; the slope of z against the
    length along the circle gives eta. Arcs are taken as shorter than half a turn, which holds above pT of about
    0.15 GeV; loopers get a wrong eta. NaN below three points.
    """
    cx, cy, radius = circle_fit(x, y)
    if np.isnan(radius):
        return float("nan"), float("nan")
    x, y, z = (np.asarray(values, dtype=np.float64) for values in (x, y, z))
    if np.isfinite(radius):
        middle = np.arctan2(y.mean() - cy, x.mean() - cx)
        turn = np.arctan2(y - cy, x - cx) - middle
        length = radius * ((turn + np.pi) % (2 * np.pi) - np.pi)
    else:  # straight: length along the principal direction
        centred = np.stack([x - x.mean(), y - y.mean()], axis=1)
        length = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    length = length - length.mean()
    outward = float(np.sign(length @ (np.hypot(x, y) - np.hypot(x, y).mean()))) or 1.0
    slope = float(length @ (z - z.mean()) / (length @ length)) * outward
    pt = float("nan") if pt_per_radius is None else pt_per_radius * radius
    return pt, float(np.arcsinh(slope))


def fitted_kinematics(
    track: Labels, x: FloatArray, y: FloatArray, z: FloatArray, *, pt_per_radius: float | None
) -> tuple[Labels, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the labels (A,) of the tracks of one event and the `helix_proxy` pT and eta of each."""
    track = np.asarray(track)
    order = np.argsort(track, kind="stable")
    ids, starts = np.unique(track[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(ids) else []
    fits = np.array([helix_proxy(x[rows], y[rows], z[rows], pt_per_radius) for rows in pieces]).reshape(len(ids), 2)
    return ids, fits[:, 0], fits[:, 1]
