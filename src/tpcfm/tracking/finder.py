"""Tracks of one event by cellular-automaton seeds and a Kalman filter over the layers: the classical reference.

As in the reconstruction that arXiv 2508.14087 (Sec. 5) compares with, seeds are chains of points in neighbouring layers and
a Kalman filter follows them outwards and inwards; a track that turns in the field is followed on its way back. Then points
close to a track join it and the turns of one helix are put together, since the labels count all turns as one track.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.kernels import njit
from tpcfm.tracking.cellular_automaton import chains
from tpcfm.tracking.chamber import Chamber
from tpcfm.tracking.helix_state import reverse
from tpcfm.tracking.kalman import fit, follow, start_state

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


class TrackerSettings(NamedTuple):
    """Cuts of the tracker (cm, rad); a named tuple of numbers, so that the kernels can take it."""

    max_slope: float = 3.0  # transverse step across / radial step of a link
    max_pitch: float = 5.0  # |dz| / radial step of a link
    min_cosine: float = 0.85  # of the bend between two links
    reach: int = 2  # layers between the points of a link
    min_seed: int = 4  # points of a seed
    sigma_rphi: float = 0.05
    sigma_z: float = 0.12
    scattering: float = 0.004  # rad per sqrt(cm)
    energy_loss: float = 0.01  # relative change of the curvature per sqrt(cm)
    gate: float = 40.0  # chi-square of a point, two degrees of freedom
    max_missing: int = 3  # layers in a row without a point
    min_points: int = 4  # of a track
    pick_up: float = 1.5  # step between free points of a group, and from a group to the track it joins
    own: int = 15  # free points in a group that make a track
    merge: float = 3.0  # tolerance of joining turns of one helix, in units of the built-in one; 0 joins none


def find_tracks(
    xyz: npt.NDArray[np.floating], chamber: Chamber, settings: TrackerSettings | None = None
) -> npt.NDArray[np.int64]:
    """Return the track of each point of one event, -1 for none.

    Args:
        xyz: (N, 3) in the unit of the detector.
        chamber: its layers.
        settings: cuts; the defaults are for layers about 1 cm apart.

    Raises:
        DataError: wrong shape, or values that are not finite.
    """
    # Numbers of one type each: the kernels are compiled once.
    plain = (type(d)(v) for d, v in zip(TrackerSettings(), settings or TrackerSettings(), strict=True))
    settings = TrackerSettings(*plain)  # type: ignore[arg-type]
    xyz = np.asarray(xyz, dtype=np.float64)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise DataError(f"tracker: points of shape {xyz.shape}; expected (N, 3)")
    if not np.isfinite(xyz).all():
        raise DataError("tracker: points hold values that are not finite")
    if not len(xyz):
        return np.empty(0, dtype=np.int64)
    xyz, radii = xyz * chamber.unit, chamber.radii
    radius = np.hypot(xyz[:, 0], xyz[:, 1])
    layer = np.searchsorted((radii[1:] + radii[:-1]) / 2, radius)
    order = np.lexsort((xyz[:, 1], xyz[:, 0], xyz[:, 2], layer))  # independent of the order of the points
    points = np.ascontiguousarray(np.column_stack([xyz, radius])[order])
    bounds = np.searchsorted(layer[order], np.arange(len(radii) + 1)).astype(np.int64)
    found, tracks, helices = _track(points, bounds, radii, chamber.half_length, settings)
    if settings.pick_up > 0:
        _pick_up(points, bounds, found, settings.pick_up, settings.own, tracks)
    if settings.merge > 0 and tracks:
        joined = _merged(helices[:tracks], settings.merge, radii[-1])
        found = np.where((found >= 0) & (found < tracks), joined[np.minimum(found, tracks)], found)
    labels = np.empty(len(xyz), dtype=np.int64)
    labels[order] = found
    return labels


@njit(cache=True, nogil=True)
def _track(
    points: Array, bounds: Index, radii: Array, half_length: float, settings: TrackerSettings
) -> tuple[Index, int, Array]:
    """Return the track of each point, the number of tracks, and per track (centre x, y, radius, dz/dtheta, theta, z)."""
    n = len(points)
    owner = np.full(n, -1)
    members, starts = chains(
        points, bounds, settings.max_slope, settings.max_pitch, settings.min_cosine, settings.reach
    )
    layer_of = np.empty(n, dtype=np.int64)
    for layer in range(len(bounds) - 1):
        layer_of[bounds[layer] : bounds[layer + 1]] = layer
    sizes = starts[1:] - starts[:-1]
    by_size = np.argsort(-sizes, kind="mergesort")
    sigma = np.array([settings.sigma_rphi, settings.sigma_z, settings.scattering, settings.energy_loss])
    helices = np.empty((len(sizes), 6))
    state, covariance = np.empty(5), np.empty((5, 5))
    line, ahead = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    tracks = 0
    max_z = half_length + 2.0
    for number in by_size:
        count = 0
        for k in range(starts[number], starts[number + 1]):
            if owner[members[k]] < 0:
                line[count] = members[k]
                count += 1
        if count < settings.min_seed:
            continue
        chain = line[:count].copy()
        if not start_state(points, chain, state, covariance) or not fit(points, chain, state, covariance, sigma):
            continue
        for i in chain:
            owner[i] = 1 << 40
        last = chain[-1]
        more = follow(
            points, bounds, radii, owner, layer_of[last], points[last, 3], state, covariance, sigma,
            settings.gate, settings.max_missing, max_z, ahead,
        )  # fmt: skip
        # Back from the far end through all points, so that the way inwards starts from the whole track.
        back = np.empty(count + more, dtype=np.int64)
        back[:more], back[more:] = ahead[:more][::-1], chain[::-1]
        reverse(state)
        for i in range(5):
            for j in range(5):
                covariance[i, j] = 25.0 * covariance[i, j] if i == j else 0.0
        less = 0
        if fit(points, back, state, covariance, sigma):
            first = chain[0]
            less = follow(
                points, bounds, radii, owner, layer_of[first], points[first, 3], state, covariance, sigma,
                settings.gate, settings.max_missing, max_z, ahead,
            )  # fmt: skip
        if count + more + less < settings.min_points:
            for i in back:
                owner[i] = -1
            for i in ahead[:less]:
                owner[i] = -1
            continue
        for i in back:
            owner[i] = tracks
        for i in ahead[:less]:
            owner[i] = tracks
        at = ahead[less - 1] if less else chain[0]
        kappa = state[3] if abs(state[3]) > 1e-6 else 1e-6
        helices[tracks, 0] = points[at, 3] * math.cos(state[0]) - math.sin(state[2]) / kappa
        helices[tracks, 1] = points[at, 3] * math.sin(state[0]) + math.cos(state[2]) / kappa
        helices[tracks, 2], helices[tracks, 3] = 1.0 / abs(kappa), state[4] / kappa
        helices[tracks, 4] = state[2] - math.copysign(0.5 * math.pi, kappa)  # azimuth of the point about the centre
        helices[tracks, 5] = state[1]
        tracks += 1
    return owner, tracks, helices


@njit(cache=True, nogil=True)
def _pick_up(points: Array, bounds: Index, owner: Index, distance: float, own: int, tracks: int) -> int:
    """Deal with free points in groups linked by steps below ``distance``: small groups join the nearest track within it.

    A group of ``own`` points or more is a particle by itself (a curl of a slow electron, beside which a track may pass) and
    becomes a track. Returns the number of tracks.
    """
    n, layers = len(points), len(bounds) - 1
    layer = np.empty(n, dtype=np.int64)
    for which in range(layers):
        layer[bounds[which] : bounds[which + 1]] = which
    group, seen = np.empty(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    limit, found = distance * distance, tracks
    for start in range(n):
        if owner[start] >= 0 or seen[start]:
            continue
        group[0], size, at = start, 1, 0
        seen[start] = True
        best, nearest = limit, -1
        while at < size:
            i = group[at]
            at += 1
            for j in range(bounds[max(0, layer[i] - 2)], bounds[min(layers, layer[i] + 3)]):
                squared = 0.0
                for d in range(3):
                    squared += (points[i, d] - points[j, d]) ** 2
                if owner[j] < 0 and not seen[j] and squared < limit:
                    group[size], seen[j] = j, True
                    size += 1
                elif 0 <= owner[j] < tracks and squared < best:
                    best, nearest = squared, owner[j]
        if size >= own:
            nearest = found
            found += 1
        for at in range(size):
            owner[group[at]] = nearest
    return found


def _merged(helices: Array, tolerance: float, outermost: float) -> Index:
    """Return the label of each track (and -1 last, for free points) after joining turns of one helix."""
    tracks = len(helices)
    label = np.arange(tracks + 1)
    label[tracks] = -1
    for a in range(tracks):
        for b in range(a):
            if label[a] != label[b] and _same_helix(helices[a], helices[b], tolerance, outermost):
                label[label == label[a]] = label[b]
    return label


def _same_helix(a: Array, b: Array, tolerance: float, outermost: float) -> bool:
    """Whether two pieces lie on one helix that turns inside the chamber: circle, pitch and phase agree."""
    radius = 0.5 * (a[2] + b[2])
    if max(a[2], b[2]) > outermost:
        return False
    if math.hypot(a[0] - b[0], a[1] - b[1]) > tolerance * (1.0 + 0.1 * radius):
        return False
    if abs(a[2] - b[2]) > tolerance * (0.5 + 0.1 * radius):
        return False
    pitch = 0.5 * (a[3] + b[3])
    if abs(a[3] - b[3]) > tolerance * (0.5 + 0.15 * abs(pitch)):
        return False
    turn = 2.0 * math.pi * abs(pitch)
    ahead = b[5] - a[5] - pitch * (b[4] - a[4])
    off = abs(ahead - turn * round(ahead / turn)) if turn > 1e-9 else abs(ahead)
    return off < tolerance * (1.5 + 0.1 * turn)
