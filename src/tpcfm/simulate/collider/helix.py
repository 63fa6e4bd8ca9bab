"""Exact geometry of a helix around the z axis between two cylinders (no stepping error).

A track at (x, y) moves in direction ψ on a circle of radius R with sense h (+1 counter-clockwise, −1 clockwise). Its distance
from the axis depends only on its angular position δ on that circle, measured from the apogee, the far point from the axis:
ρ² = d² + R² + 2 d R cos δ with d the distance of the circle's centre. Counting δ along the motion, the track moves outwards for
−π < δ < 0 and inwards for 0 < δ < π, so the next cylinder follows from two arc cosines, without a search.
"""

import math

from tpcfm.kernels import njit
from tpcfm.simulate.collider.apparatus import PT_PER_RADIUS

# Field along +z: positive charges turn clockwise seen from +z.


@njit(cache=True)
def turning(px, py, charge):  # type: ignore[no-untyped-def]
    """Return the bending radius (cm) and the sense of rotation (+1 counter-clockwise); momenta in GeV/c."""
    return math.sqrt(px * px + py * py) / (PT_PER_RADIUS * abs(charge)), -1.0 if charge > 0 else 1.0


@njit(cache=True)
def next_edge(x, y, px, py, radius, sense, inner, outer):  # type: ignore[no-untyped-def]
    """Return the turning angle (rad, ≥ 0) to the next cylinder and which it is: +1 outer, −1 inner, 0 none.

    The track is between the cylinders ``inner`` and ``outer`` (cm), or on one of them.
    """
    pt = math.sqrt(px * px + py * py)
    cx = x - sense * radius * py / pt
    cy = y + sense * radius * px / pt
    d = math.sqrt(cx * cx + cy * cy)
    if d < 1e-9:
        return 2.0 * math.pi, 0
    # δ from the apogee, along the motion
    rx, ry = x - cx, y - cy
    delta = sense * math.atan2(cx * ry - cy * rx, cx * rx + cy * ry)
    base = d * d + radius * radius
    scale = 2.0 * d * radius
    cos_outer = (outer * outer - base) / scale
    cos_inner = (inner * inner - base) / scale
    if delta < 0.0 and cos_outer < 1.0:  # outgoing and the circle reaches the outer cylinder
        if cos_outer <= -1.0:
            return 0.0, 1
        return max(0.0, -math.acos(cos_outer) - delta), 1
    if inner > 0.0 and cos_inner > -1.0:  # it turns round (or is coming in) and reaches the inner cylinder
        if cos_inner >= 1.0:
            return 0.0, -1
        return max(0.0, math.acos(cos_inner) - delta), -1
    if cos_outer < 1.0:  # incoming, passes the perigee inside the bin, then goes out
        if cos_outer <= -1.0:
            return 0.0, 1
        return max(0.0, 2.0 * math.pi - math.acos(cos_outer) - delta), 1
    return 2.0 * math.pi, 0


@njit(cache=True)
def advance(x, y, z, px, py, pz, radius, sense, angle):  # type: ignore[no-untyped-def]
    """Return position (cm) and momentum after turning by ``angle`` rad on the helix."""
    pt = math.sqrt(px * px + py * py)
    cosine, sine = math.cos(angle), sense * math.sin(angle)
    qx = px * cosine - py * sine
    qy = px * sine + py * cosine
    shift = sense * radius / pt
    # centre − position is h R (−sin ψ, cos ψ), before and after
    return x + shift * (qy - py), y - shift * (qx - px), z + radius * angle * pz / pt, qx, qy


@njit(cache=True)
def kick(px, py, pz, angle1, angle2):  # type: ignore[no-untyped-def]
    """Rotate a momentum by two small projected angles (rad), keeping its magnitude."""
    pt = math.sqrt(px * px + py * py)
    p = math.sqrt(pt * pt + pz * pz)
    # unit vectors across the track: u horizontal, v = p̂ × u
    ux, uy = -py / pt, px / pt
    vx, vy, vz = -pz * uy / p, pz * ux / p, (px * uy - py * ux) / p
    qx = px + p * (angle1 * ux + angle2 * vx)
    qy = py + p * (angle1 * uy + angle2 * vy)
    qz = pz + p * angle2 * vz
    norm = p / math.sqrt(qx * qx + qy * qy + qz * qz)
    return qx * norm, qy * norm, qz * norm
