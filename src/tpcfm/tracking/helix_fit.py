"""Helix fits to all tracks of an event at once: momentum, direction and charge from the points alone.

A circle in the transverse plane (algebraic fit of Pratt, CVIM 58, 1987, which has little bias on the short arcs of stiff tracks; root by
Newton's method as in Chernov, "Circular and Linear Regression", 2010, Sec. 5.5) and a line of z against the length along it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MIN_POINTS = 3
STEPS = 20  # of Newton's method, which converges from below in a few
STRAIGHT = 1e6  # radius of a circle, in units of the track's size, beyond which it is a line


@dataclass(frozen=True)
class HelixFits:
    """Fitted tracks of one event, (A,) each; NaN (charge 0) where there are too few points.

    Attributes:
        track: label of the track.
        points: points of it.
        pt: transverse momentum in GeV/c, NaN without a field.
        eta: pseudorapidity.
        phi: azimuth of the momentum where the helix is nearest to the z axis, rad.
        charge: sign of the charge, for a particle that flies outwards; 0 without a field and for straight lines.
    """

    track: npt.NDArray[np.integer]
    points: npt.NDArray[np.int64]
    pt: Floats
    eta: Floats
    phi: Floats
    charge: npt.NDArray[np.int8]


def fit_helices(track: npt.NDArray[np.integer], xyz: npt.ArrayLike, pt_per_radius: float | None) -> HelixFits:
    """Fit a helix to the points of each track.

    Arcs are taken as shorter than half a turn, which holds above a pT of about 0.15 GeV in sPHENIX-like chambers; of loopers pT is still
    that of the circle, but eta, phi and charge are wrong.

    Args:
        track: (N,) label of each point; every label is a track, negative ones too.
        xyz: (N, 3) points, the field along z.
        pt_per_radius: `Detector.pt_per_radius`, positive for a field along +z, where positive charges turn clockwise; None: no field.
    """
    ids, member, sizes = np.unique(np.asarray(track), return_inverse=True, return_counts=True)
    points = np.asarray(xyz, np.float64).reshape(-1, 3)
    count = len(ids)

    def mean(values: Floats) -> Floats:
        return np.bincount(member, values, count) / np.maximum(sizes, 1)

    centre = np.stack([mean(points[:, axis]) for axis in range(3)], axis=1)
    u, v, z = (points - centre[member]).T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        size = np.sqrt(mean(u * u + v * v))  # centred and scaled, so that the moments are of order one
        u, v = u / size[member], v / size[member]
        cu, cv, radius = _circles(u, v, mean)
        straight = ~(radius < STRAIGHT)
        turn = np.arctan2(v - cv[member], u - cu[member]) - np.arctan2(-cv, -cu)[member]
        arc = radius[member] * ((turn + np.pi) % (2 * np.pi) - np.pi)
        axis = 0.5 * np.arctan2(2 * mean(u * v), mean(u * u) - mean(v * v))[member]
        length = np.where(straight[member], u * np.cos(axis) + v * np.sin(axis), arc)
        length = length - mean(length)[member]
        distance = np.hypot(points[:, 0], points[:, 1])
        sense = np.where(mean(length * (distance - mean(distance)[member])) < 0, -1.0, 1.0)
        slope = sense * mean(length * z) / mean(length * length) / size
        # From the centre of the circle, in the frame of the detector, to the point nearest to the axis, and a quarter turn on.
        x, y = cu * size + centre[:, 0], cv * size + centre[:, 1]
        phi = np.where(
            straight, np.arctan2(*_outwards(axis, sense[member], member, count)), np.arctan2(-sense * x, sense * y)
        )
        fitted = (sizes >= MIN_POINTS) & (size > 0) & np.isfinite(slope)
        pt = np.full(count, np.nan)
        if pt_per_radius is not None:
            pt = np.where(straight, np.inf, abs(pt_per_radius) * radius * size)
        bent = fitted & ~straight & (pt_per_radius is not None)
        charge = np.where(bent, -sense * np.sign(pt_per_radius or 0.0), 0).astype(np.int8)
    nothing = np.where(fitted, 0.0, np.nan)
    return HelixFits(ids, sizes, pt + nothing, np.arcsinh(slope) + nothing, phi + nothing, charge)


def _outwards(axis: Floats, sense: Floats, member: npt.NDArray[np.int64], count: int) -> tuple[Floats, Floats]:
    """Return sine and cosine (A,) of the direction of straight tracks, outwards; ``axis`` and ``sense`` are given per point."""
    sine, cosine = np.zeros(count), np.zeros(count)
    sine[member], cosine[member] = sense * np.sin(axis), sense * np.cos(axis)
    return sine, cosine


def _circles(u: Floats, v: Floats, mean) -> tuple[Floats, Floats, Floats]:  # type: ignore[no-untyped-def]
    """Return centres and radii (A,) of the circles through centred points of unit size; ``mean`` averages over each track."""
    w = u * u + v * v
    uu, vv, uv, uw, vw, ww = (mean(product) for product in (u * u, v * v, u * v, u * w, v * w, w * w))
    total = uu + vv
    covariance = uu * vv - uv * uv
    a2 = 4 * covariance - 3 * total * total - ww
    a1 = ww * total + 4 * covariance * total - uw * uw - vw * vw - total**3
    a0 = uw * uw * vv + vw * vw * uu - ww * covariance - 2 * uw * vw * uv + total * total * covariance
    root = np.zeros_like(total)
    for _ in range(STEPS):
        value = a0 + root * (a1 + root * (a2 + 4 * root * root))
        change = value / (a1 + root * (2 * a2 + 16 * root * root))
        root = root - np.where(np.isfinite(change), change, 0.0)
    determinant = root * root - root * total + covariance
    cu = (uw * (vv - root) - vw * uv) / determinant / 2
    cv = (vw * (uu - root) - uw * uv) / determinant / 2
    return cu, cv, np.sqrt(cu * cu + cv * cv + total + 2 * root)
