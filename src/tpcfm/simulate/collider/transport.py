"""One event through the detector: particles walk from cylinder to cylinder until they stop, decay or leave.

Rows of ``stack`` are (species, x, y, z, t, px, py, pz) in cm, ns, GeV/c. Rows of ``deposits`` are
(layer, track, x, y, z, path, Σ path·ln βγ, t): charge in a pad row before readout. Rows of ``tracks`` are the production values
(species, x, y, z, t, px, py, pz) of every charged particle, numbered in the order they were taken from the stack.
"""

import math

import numpy as np

from tpcfm.kernels import njit
from tpcfm.simulate.collider.decays import decay
from tpcfm.simulate.collider.energy_loss import lose_energy, scattering_angle
from tpcfm.simulate.collider.helix import advance, kick, next_edge, turning
from tpcfm.simulate.collider.material import END_CM, GAS_X0, OUTER_CM
from tpcfm.simulate.collider.random import exponential, uniform
from tpcfm.simulate.collider.secondaries import calorimeter, convert, knock_on, pair_probability, spallation
from tpcfm.simulate.collider.settings import MAX_PATH_CM, MAX_STEPS
from tpcfm.simulate.collider.species import (
    CHARGE,
    CTAU,
    MASS,
    MUON_PLUS,
    NEUTRAL,
    PHOTON,
    PION_MINUS,
    PION_PLUS,
    POSITRON,
)

_LIGHT_CM_PER_NS = 29.9792458
_X0_SOLID = 22.0
_HARD_LIMIT = 1e-4  # GeV/c; below it a particle is at rest


@njit(cache=True)
def _find_bin(edges, radius):  # type: ignore[no-untyped-def]
    return min(int(np.searchsorted(edges, radius, side="right")) - 1, edges.size - 2)


@njit(cache=True)
def _deposit(deposits, n, layer, track, x, y, z, path, beta_gamma, t, settings):  # type: ignore[no-untyped-def]
    """Add charge to the last deposit if it is of the same track and place, else append; return the length needed."""
    if 0 < n <= deposits.shape[0]:
        last = deposits[n - 1]
        same = last[0] == layer and last[1] == track and abs(last[4] - z) < settings.merge_z_cm
        if same and (last[2] - x) ** 2 + (last[3] - y) ** 2 < settings.merge_rphi_cm**2:
            total = last[5] + path
            share = path / total
            last[2] += share * (x - last[2])
            last[3] += share * (y - last[3])
            last[4] += share * (z - last[4])
            last[5] = total
            last[6] += path * math.log(beta_gamma)
            return n
    if n < deposits.shape[0]:
        row = deposits[n]
        row[0], row[1], row[2], row[3], row[4], row[5] = layer, track, x, y, z, path
        row[6], row[7] = path * math.log(beta_gamma), t
    return n + 1


@njit(cache=True)
def _radiate(momentum, radiation_lengths, state):  # type: ignore[no-untyped-def]
    """Return the momentum after bremsstrahlung in a thin layer (Bethe-Heitler: −ln(share) is gamma distributed)."""
    shape = radiation_lengths / 0.6931471805599453
    # gamma variate of small shape by Ahrens-Dieter
    while True:
        b = 1.0 + shape / math.e
        v = b * uniform(state)
        if v <= 1.0:
            g = v ** (1.0 / shape)
            if uniform(state) <= math.exp(-g):
                break
        else:
            g = -math.log((b - v) / shape)
            if uniform(state) <= g ** (shape - 1.0):
                break
    return momentum * math.exp(-g)


@njit(cache=True)
def _at_rest(stack, n, code, x, y, z, t, state):  # type: ignore[no-untyped-def]
    """Append what a stopped particle leaves: positive pions and muons a Michel positron, others nothing visible."""
    if code in (PION_PLUS, MUON_PLUS):
        return decay(stack, n, MUON_PLUS, MASS[MUON_PLUS], x, y, z, t, 0.0, 0.0, 0.0, state)
    return n


@njit(cache=True)
def walk_charged(code, track, x, y, z, t, px, py, pz, cylinders, deposits, n_deposits, stack, n, settings, state):  # type: ignore[no-untyped-def]
    """Walk one charged particle to its end; return the number of deposits and of particles on the stack.

    ``cylinders`` is (edges, solid, layer, gas) of :class:`tpcfm.simulate.collider.material.Layout`.
    """
    edges, solid, layers, gas = cylinders
    mass, charge = MASS[code], CHARGE[code]
    hadron = code >= PION_MINUS
    electron = code <= POSITRON
    lifetime = CTAU[code]
    proper_left = exponential(state) * lifetime if lifetime < 1e9 else np.inf
    place = _find_bin(edges, math.sqrt(x * x + y * y))
    travelled = 0.0
    for _ in range(MAX_STEPS):
        pt = math.sqrt(px * px + py * py)
        p = math.sqrt(pt * pt + pz * pz)
        if p < _HARD_LIMIT or pt < 1e-6 or travelled > MAX_PATH_CM:
            break
        radius, sense = turning(px, py, charge)
        angle, side = next_edge(x, y, px, py, radius, sense, edges[place], edges[place + 1])
        layer, density = layers[place], gas[place]
        if density > 0.0:
            longest = settings.point_arc_cm / radius
            if abs(pz) * radius * longest > settings.point_z_cm * pt:
                longest = settings.point_z_cm * pt / (abs(pz) * radius)
            if angle > longest:
                angle, side = longest, 0
        ends = decays = False
        path = radius * angle * p / pt
        if path * mass / p > proper_left:
            angle *= proper_left * p / (mass * path)
            side, decays = 0, True
        reach = z + radius * angle * pz / pt
        if abs(reach) > END_CM:
            angle *= (math.copysign(END_CM, pz) - z) / (reach - z)
            side, ends, decays = 0, True, False
        path = radius * angle * p / pt
        speed = p / math.sqrt(p * p + mass * mass)
        if layer >= 0 and path > 0.0:
            mx, my, mz, _qx, _qy = advance(x, y, z, px, py, pz, radius, sense, 0.5 * angle)
            n_deposits = _deposit(deposits, n_deposits, layer, track, mx, my, mz, path, p / mass, t, settings)
        x, y, z, px, py = advance(x, y, z, px, py, pz, radius, sense, angle)
        travelled += path
        t += path / (speed * _LIGHT_CM_PER_NS)
        proper_left -= path * mass / p
        if ends:
            break
        if density > 0.0 and path > 0.0:
            n = knock_on(stack, n, mass, density * path, x, y, z, t, px, py, pz, state)
            kept = lose_energy(p, mass, density * path, False)
            if kept < _HARD_LIMIT:
                n = _at_rest(stack, n, code, x, y, z, t, state)
                break
            px, py, pz, p = px * kept / p, py * kept / p, pz * kept / p, kept
            lengths = density * path / GAS_X0
            one, two = scattering_angle(p, mass, lengths, state), scattering_angle(p, mass, lengths, state)
            px, py, pz = kick(px, py, pz, one, two)
        if decays:
            n = decay(stack, n, code, mass, x, y, z, t, px, py, pz, state)
            break
        if side == 0:
            continue
        grammage = solid[place + 1 if side > 0 else place]
        if grammage > 0.0:
            slope = abs(x * px + y * py) / (math.sqrt(x * x + y * y) * p)
            grammage /= max(0.1, slope)
            n = knock_on(stack, n, mass, grammage, x, y, z, t, px, py, pz, state)
            if hadron and uniform(state) < settings.spallation_per_gram * grammage:
                n = spallation(stack, n, x, y, z, t, False, settings, state)
                break
            kept = lose_energy(p, mass, grammage, True)
            if electron and kept > 0.0:
                kept = _radiate(kept, grammage / _X0_SOLID, state)
            if kept < _HARD_LIMIT:
                n = _at_rest(stack, n, code, x, y, z, t, state)
                break
            px, py, pz, p = px * kept / p, py * kept / p, pz * kept / p, kept
            lengths = grammage / _X0_SOLID
            one, two = scattering_angle(p, mass, lengths, state), scattering_angle(p, mass, lengths, state)
            px, py, pz = kick(px, py, pz, one, two)
        place += side
        if place >= layers.size:
            n = calorimeter(stack, n, hadron, x, y, z, t, settings, state)
            break
    return n_deposits, n


@njit(cache=True)
def walk_neutral(code, x, y, z, t, px, py, pz, cylinders, stack, n, settings, state):  # type: ignore[no-untyped-def]
    """Take a photon or neutral hadron along a straight line to the calorimeter; a photon may convert on the way."""
    edges, solid, _layers, _gas = cylinders
    pt2 = px * px + py * py
    p = math.sqrt(pt2 + pz * pz)
    if pt2 < 1e-12 * p * p:
        return n
    along = (x * px + y * py) / pt2
    inside = (x * x + y * y) / pt2
    last = 0.0
    for i in range(1, edges.size):
        gap = edges[i] * edges[i] / pt2 - inside + along * along
        if gap < 0.0:
            continue
        s = -along + math.sqrt(gap)  # position is (x, y, z) + s·(px, py, pz); outgoing crossing
        if s <= 0.0:
            continue
        qx, qy, qz = x + s * px, y + s * py, z + s * pz
        if abs(qz) > END_CM:
            return n
        if code == PHOTON:
            lengths = (s - last) * p * _gas[i - 1] / GAS_X0
            if lengths > 0.0 and uniform(state) < pair_probability(p, lengths):
                f = last + (s - last) * uniform(state)
                return convert(stack, n, x + f * px, y + f * py, z + f * pz, t, px, py, pz, state)
            if solid[i] > 0.0:
                slope = abs(qx * px + qy * py) / (edges[i] * p)
                if uniform(state) < pair_probability(p, solid[i] / _X0_SOLID / max(0.1, slope)):
                    return convert(stack, n, qx, qy, qz, t, px, py, pz, state)
        last = s
    s = -along + math.sqrt(max(0.0, OUTER_CM * OUTER_CM / pt2 - inside + along * along))
    return calorimeter(stack, n, code == NEUTRAL, x + s * px, y + s * py, z + s * pz, t, settings, state)


@njit(cache=True, nogil=True)
def transport(stack, n, deposits, tracks, cylinders, settings, state):  # type: ignore[no-untyped-def]
    """Transport the first ``n`` rows of ``stack`` and all their secondaries.

    Returns the number of deposits, of tracks, and the largest number of stack rows wanted; a number beyond an array's length
    means that it was too small and that the event has to be done again with a larger one (from the same random state).
    """
    n_deposits, n_tracks, highest = 0, 0, n
    while n > 0 and n <= stack.shape[0]:
        n -= 1
        code = int(stack[n, 0])
        x, y, z, t = stack[n, 1], stack[n, 2], stack[n, 3], stack[n, 4]
        px, py, pz = stack[n, 5], stack[n, 6], stack[n, 7]
        if x * x + y * y >= OUTER_CM * OUTER_CM or abs(z) >= END_CM:
            continue
        if CHARGE[code] == 0:
            n = walk_neutral(code, x, y, z, t, px, py, pz, cylinders, stack, n, settings, state)
        else:
            if n_tracks < tracks.shape[0]:
                tracks[n_tracks] = stack[n]
            n_deposits, n = walk_charged(
                code, n_tracks, x, y, z, t, px, py, pz, cylinders, deposits, n_deposits, stack, n, settings, state
            )
            n_tracks += 1
        highest = max(highest, n)
    return n_deposits, n_tracks, highest
