"""What stands in the place of a network where a Kalman filter finds the tracks: its cuts, saved as weights are."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

CUTS = 15
"""Numbers of `tpcfm.tracking.finder.TrackerSettings`."""


class KalmanFilter(nn.Module):
    """Keeps the cuts chosen on validation events in the buffer ``settings`` (float64).

    Args:
        settings: the cuts; zeros, to be loaded, if not given.
    """

    def __init__(self, settings: Sequence[float] = (0.0,) * CUTS) -> None:
        super().__init__()
        self.register_buffer("settings", torch.tensor(settings, dtype=torch.float64))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the points (N, 3) as they are."""
        return batch["xyz"]
