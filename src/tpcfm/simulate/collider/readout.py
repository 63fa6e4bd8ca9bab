"""From charge in the pad rows to spacepoints: ionisation, merging of close charge, resolution, threshold.

Radii of points are the layer centres plus a small residual of the space-charge correction (at most 0.018 cm, growing with radius
and towards the central membrane), as in the released files, where r takes in essence 48 values.
"""

import math

import numpy as np

from tpcfm.kernels import njit
from tpcfm.simulate.collider.apparatus import DRIFT_VELOCITY_CM_PER_NS, HALF_LENGTH_CM, LAYER_RADII_CM
from tpcfm.simulate.collider.energy_loss import deposit_kev
from tpcfm.simulate.collider.random import exponential, normal, uniform

_LIGHT_CM_PER_NS = 29.9792458
_RADII = LAYER_RADII_CM.copy()
_RESIDUAL_CM = 0.018
_FIRST, _LAST = float(LAYER_RADII_CM[0]), float(LAYER_RADII_CM[-1])


@njit(cache=True, nogil=True)
def read_out(deposits, n_deposits, landau_table, settings, state, points, point_track):  # type: ignore[no-untyped-def]
    """Turn the first ``n_deposits`` rows into points; return their number.

    ``points`` (≥ n_deposits, 4) float32 receives (E in ADC, x, y, z in cm), ``point_track`` (≥ n_deposits,) the track with the
    largest share of the charge. Points come sorted by layer and z, as a cluster finder that works pad row by pad row leaves them.
    """
    key = np.empty(n_deposits)
    signal = np.empty(n_deposits)
    azimuth = np.empty(n_deposits)
    drifted = np.empty(n_deposits)
    for i in range(n_deposits):
        row = deposits[i]
        radius = _RADII[int(row[0])]
        # Charge that arrives late is taken for charge nearer to the membrane.
        late = max(0.0, row[7] - radius / _LIGHT_CM_PER_NS) * DRIFT_VELOCITY_CM_PER_NS
        drifted[i] = row[4] - math.copysign(late, row[4])
        azimuth[i] = math.atan2(row[3], row[2])
        beta_gamma = math.exp(row[6] / row[5])
        # Whether a knock-on electron leaves the cluster depends on where it was made: the end of the spectrum is soft.
        highest = settings.landau_highest_kev * (0.25 + 0.75 * exponential(state))
        kev = deposit_kev(beta_gamma, row[5], settings.landau_width, highest, landau_table, uniform(state))
        signal[i] = settings.gain_adc_per_kev * kev
        key[i] = row[0] * 1000.0 + drifted[i]
    order = np.argsort(key)
    taken = np.zeros(n_deposits, dtype=np.bool_)
    count = 0
    for first in range(n_deposits):
        i = order[first]
        if taken[i]:
            continue
        layer = deposits[i, 0]
        radius = _RADII[int(layer)]
        total, strongest, owner = signal[i], signal[i], int(deposits[i, 1])
        z_sum, phi_sum = 0.0, 0.0
        for second in range(first + 1, n_deposits):
            j = order[second]
            gap = drifted[j] - drifted[i]
            if deposits[j, 0] != layer or gap > settings.merge_z_cm:
                break
            if taken[j]:
                continue
            turn = azimuth[j] - azimuth[i]
            turn -= 2.0 * math.pi * math.floor(turn / (2.0 * math.pi) + 0.5)
            if abs(turn) * radius < settings.merge_rphi_cm:
                taken[j] = True
                total += signal[j]
                z_sum += signal[j] * gap
                phi_sum += signal[j] * turn
                if signal[j] > strongest:
                    strongest, owner = signal[j], int(deposits[j, 1])
        # The converter saturates sample by sample: linear far below the limit, never above it.
        power = settings.saturation_power
        measured = total / (1.0 + (total / settings.saturation_adc) ** power) ** (1.0 / power)
        if measured < settings.threshold_adc:
            continue
        z = drifted[i] + z_sum / total
        phi = azimuth[i] + phi_sum / total
        drift = max(0.0, HALF_LENGTH_CM - abs(z))
        z += math.sqrt(settings.sigma_z_cm**2 + settings.sigma_z_drift**2 * drift) * normal(state)
        across = math.sqrt(settings.sigma_rphi_cm**2 + settings.sigma_rphi_drift**2 * drift) * normal(state)
        if abs(z) > HALF_LENGTH_CM:
            continue
        phi += across / radius
        radius += _RESIDUAL_CM * (radius - _FIRST) / (_LAST - _FIRST) * drift / HALF_LENGTH_CM
        points[count, 0] = measured
        points[count, 1] = radius * math.cos(phi)
        points[count, 2] = radius * math.sin(phi)
        points[count, 3] = z
        point_track[count] = owner
        count += 1
    return count
