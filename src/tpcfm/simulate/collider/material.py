"""What a track passes on its way through sPHENIX: thin cylinders before the TPC, gas, the 48 pad rows.

The walk goes from one cylinder (edge) to the next. An edge may carry a thin layer of solid; the space between two edges
(bin) is vacuum or gas and may be a pad row. Thicknesses are rounded values for beryllium pipe, silicon trackers with their
services and the inner field cage, 5 to 6 per cent of a radiation length in all, as usual for the sPHENIX tracker.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tpcfm.simulate.collider.apparatus import HALF_LENGTH_CM, LAYER_RADII_CM

# radius (cm), thickness in radiation lengths
_SOLIDS = ((2.0, 0.0023), (2.5, 0.0040), (3.3, 0.0040), (4.0, 0.0040), (7.5, 0.0110), (9.9, 0.0110), (20.5, 0.0140))
_X0_SOLID = 22.0  # g/cm², silicon and carbon fibre
GAS_INNER_CM = 20.5
ACTIVE_EDGES_CM = ((31.105, 40.249), (41.153, 57.475), (58.367, 75.911))  # inner, middle, outer region
OUTER_CM = 77.0  # beyond it a particle is in the outer field cage and the calorimeter
GAS_DENSITY = 2.48e-3  # g/cm³, argon with 40 per cent CF4 at 1 bar
GAS_X0 = 26.2  # g/cm²
END_CM = HALF_LENGTH_CM


@dataclass(frozen=True)
class Layout:
    """Cylinders of the walk; ``edges`` (E,) cm, ``solid`` (E,) g/cm², ``layer`` and ``gas`` (E−1,) per bin."""

    edges: npt.NDArray[np.float64]
    solid: npt.NDArray[np.float64]
    layer: npt.NDArray[np.int64]
    gas: npt.NDArray[np.float64]


def layout() -> Layout:
    """Return the cylinders; ``layer`` is −1 outside the pad rows, ``gas`` the density in g/cm³ (0 in vacuum)."""
    edges = [0.0] + [radius for radius, _ in _SOLIDS]
    solid = [0.0] + [length * _X0_SOLID for _, length in _SOLIDS]
    layer = [-1] * len(_SOLIDS)
    for region, (low, high) in enumerate(ACTIVE_EDGES_CM):
        centres = LAYER_RADII_CM[16 * region : 16 * (region + 1)]
        inner = [low, *(0.5 * (centres[1:] + centres[:-1]))]
        layer += [-1] + list(range(16 * region, 16 * (region + 1)))
        edges += [*inner, high]
        solid += [0.0] * 17
    edges.append(OUTER_CM)
    solid.append(0.0)
    layer.append(-1)
    gas = [GAS_DENSITY if low >= GAS_INNER_CM else 0.0 for low in edges[:-1]]
    return Layout(np.array(edges), np.array(solid), np.array(layer), np.array(gas))
