"""Simulated pp collisions in the sPHENIX TPC, written in the TPCpp-10M layout (arXiv 2508.14087, App. A).

Collisions come from Pythia 8 (``pythia``) or a particle gun (``gun``). Charged particles follow exact helices in 1.4 T from
cylinder to cylinder (``transport``, ``helix``), lose energy and scatter (``energy_loss``, ``material``), decay (``decays``) and
make secondaries (``secondaries``); the charge in the 48 pad rows becomes points (``readout``). ``settings`` holds every tuned
number.

What is simplified: a uniform field; thin cylinders in place of the real inner detectors; nuclear interactions and everything
that comes back from the calorimeter are an effective model (rates tuned, spectra chosen); no pile-up; the response of pads and
electronics is a resolution, a merging distance and a saturation curve, not a digitisation.
"""

from tpcfm.simulate.collider.files import simulate_events, simulate_file

__all__ = ["simulate_events", "simulate_file"]
