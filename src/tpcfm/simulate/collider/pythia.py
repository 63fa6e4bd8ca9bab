"""Minimum-bias pp collisions at 200 GeV from Pythia 8 with the Detroit tune (arXiv 2110.09447).

Pythia is optional (GPL): it is imported on first use only.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.errors import MachineError
from tpcfm.simulate.collider.species import CODE_OF_PDG, NEUTRAL, NEUTRAL_HADRONS

# arXiv 2110.09447, Table II, and the parton distributions it is tuned with (set 17: NNPDF3.1 LO, α_s = 0.130).
DETROIT_TUNE = (
    "PDF:pSet = 17",
    "MultipartonInteractions:ecmRef = 200.",
    "MultipartonInteractions:ecmPow = 0.135",
    "MultipartonInteractions:pT0Ref = 1.40",
    "MultipartonInteractions:bProfile = 2",
    "MultipartonInteractions:coreRadius = 0.56",
    "MultipartonInteractions:coreFraction = 0.78",
    "ColourReconnection:mode = 0",
    "ColourReconnection:range = 5.4",
)
PROCESS = ("Beams:idA = 2212", "Beams:idB = 2212", "Beams:eCM = 200.", "SoftQCD:inelastic = on")
# Strange particles decay in Pythia where they would be inside the chamber, charged pions and kaons in the transport.
DECAYS = (
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 770.",
    "ParticleDecays:zMax = 1050.",
    "130:mayDecay = on",
)
_MAX_ETA = 2.5
_NS_PER_MM = 1.0 / 299.792458
_MAX_SEED = 900_000_000  # Pythia's largest seed


class PythiaSource:
    """Primaries of minimum-bias events; one generator per process, seeded again for every file.

    Raises:
        MachineError: the package ``pythia8mc`` is not installed, or Pythia refuses to start.
    """

    def __init__(self) -> None:
        try:
            import pythia8mc
        except ImportError as error:
            raise MachineError(
                "Pythia 8 is not installed: install pythia8mc==8.317.2, or use the particle gun (source 'gun')"
            ) from error
        self._pythia: Any = pythia8mc.Pythia("", False)
        self._pythia.readString("Print:quiet = on")
        for line in (*PROCESS, *DETROIT_TUNE, *DECAYS):
            if not self._pythia.readString(line):
                raise MachineError(f"Pythia does not know the setting {line!r}; expected version 8.3")
        self._pythia.readString("Random:setSeed = on")
        self._pythia.readString("Random:seed = 1")
        if not self._pythia.init():
            raise MachineError("Pythia failed to initialise; its share folder may be missing")

    def seed(self, key: int) -> None:
        """Start a new random sequence."""
        self._pythia.rndm.init(1 + key % (_MAX_SEED - 1))

    def next(self, vertex: tuple[float, float, float]) -> npt.NDArray[np.float64]:
        """Return the final particles near the chamber, (P, 8): species, x, y, z (cm), t (ns), px, py, pz (GeV/c)."""
        pythia = self._pythia
        while not pythia.next():
            pass
        rows = []
        for particle in pythia.event:
            if not particle.isFinal():
                continue
            pdg = particle.id()
            code = CODE_OF_PDG.get(pdg)
            if code is None:
                if pdg not in NEUTRAL_HADRONS:
                    continue
                code = NEUTRAL
            px, py, pz = particle.px(), particle.py(), particle.pz()
            if abs(pz) > math.sinh(_MAX_ETA) * math.hypot(px, py):
                continue
            x, y, z = 0.1 * particle.xProd(), 0.1 * particle.yProd(), 0.1 * particle.zProd()
            rows.append((code, x + vertex[0], y + vertex[1], z + vertex[2], _NS_PER_MM * particle.tProd(), px, py, pz))
        return np.array(rows, dtype=np.float64).reshape(-1, 8)
