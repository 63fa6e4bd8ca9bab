"""Classical track finding: cellular-automaton seeds and a Kalman filter (compare arXiv 2508.14087, Sec. 5)."""
