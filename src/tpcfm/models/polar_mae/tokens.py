"""Tokens of a packed batch, as the networks see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tpcfm.nn.packed import Packing
from tpcfm.nn.padded import Padded


@dataclass(frozen=True)
class Tokens:
    """Groups of points of all events of a batch.

    Attributes:
        packing: tokens of each event.
        centre: ``(T, 3)`` centres in scaled detector coordinates (corners on the unit sphere).
        points: ``(T, K, 4)`` position relative to the centre over the group's scale (ball radius), transformed energy; 0 in
            empty slots.
        valid: ``(T, K)`` bool, slots that hold a point; they come first.
    """

    packing: Packing | Padded
    centre: Tensor
    points: Tensor
    valid: Tensor

    @classmethod
    def from_batch(cls, batch: Mapping[str, Any]) -> "Tokens":
        """Take them from the keys ``token_offsets``, ``token_centre``, ``token_points``, ``token_valid`` of a batch."""
        given = batch["token_offsets"]
        packing = given if isinstance(given, Padded) else Packing.from_offsets(given)
        return cls(packing, batch["token_centre"], batch["token_points"], batch["token_valid"])

    def level(self) -> Tensor:
        """Return ``(T,)``: mean transformed energy of the points of each group."""
        return (self.points[..., 3] * self.valid).sum(1) / self.valid.sum(1).clamp(min=1)

    def relative_energy(self) -> "Tokens":
        """Return the tokens with energies relative to the mean of their group; empty slots stay 0."""
        energy = (self.points[..., 3] - self.level()[:, None]) * self.valid
        points = torch.cat([self.points[..., :3], energy[..., None]], dim=-1)
        return Tokens(self.packing, self.centre, points, self.valid)

    def __getitem__(self, keep: Tensor) -> "Tokens":
        """Return the tokens where ``keep`` ``(T,)`` is true."""
        assert isinstance(self.packing, Packing)
        return Tokens(self.packing.subset(keep), self.centre[keep], self.points[keep], self.valid[keep])
