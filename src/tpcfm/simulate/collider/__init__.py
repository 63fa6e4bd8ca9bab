"""Simulated pp collisions in the sPHENIX TPC, written in the TPCpp-10M layout (arXiv 2508.14087, App. A)."""

from tpcfm.simulate.collider.files import events, simulate_file

__all__ = ["events", "simulate_file"]
