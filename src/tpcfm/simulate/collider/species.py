"""Particle species that the transport knows: masses, lifetimes, codes and the class they have in the labels.

Masses in GeV, c·tau in cm (Particle Data Group, Review of Particle Physics 2022).
"""

import numpy as np

ELECTRON, POSITRON, MUON_MINUS, MUON_PLUS, PION_MINUS, PION_PLUS = 0, 1, 2, 3, 4, 5
KAON_MINUS, KAON_PLUS, ANTIPROTON, PROTON, DEUTERON, PHOTON, NEUTRAL, INVISIBLE = 6, 7, 8, 9, 10, 11, 12, 13

PDG = np.array([11, -11, 13, -13, -211, 211, -321, 321, -2212, 2212, 1000010020, 22, 2112, 12], dtype=np.int64)
MASS = np.array([0.000511, 0.000511] + [0.10566] * 2 + [0.13957] * 2 + [0.49368] * 2 + [0.93827] * 2
                + [1.87561, 0.0, 0.93957, 0.0])  # fmt: skip
CHARGE = np.array([-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, 1, 0, 0, 0], dtype=np.int64)
CTAU = np.array([np.inf] * 2 + [65864.0] * 2 + [780.45] * 2 + [371.2] * 2 + [np.inf] * 6)
# Class of the released labels: 0 other, 1 pion, 2 kaon, 3 proton, 4 electron.
LABEL = np.array([4, 4, 0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 0, 0], dtype=np.uint8)

PION_ZERO_MASS = 0.13498
CODE_OF_PDG = {int(pdg): code for code, pdg in enumerate(PDG) if code < NEUTRAL}
NEUTRAL_HADRONS = frozenset({2112, -2112, 130, 3122, -3122})
