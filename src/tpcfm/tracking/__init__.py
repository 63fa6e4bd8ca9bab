"""Classical track finding: cellular-automaton seeds and a Kalman filter (compare arXiv 2508.14087, Sec. 5)."""

from tpcfm.tracking.finder import TrackerSettings, find_tracks

__all__ = ["TrackerSettings", "find_tracks"]
