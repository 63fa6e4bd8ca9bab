"""FM4NPP: point embedding, residual Mamba blocks, next-neighbour head (arXiv 2508.14087, Sec. 4)."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.models.fm4npp.traffic import points_that_fit
from tpcfm.nn import mup
from tpcfm.nn.mamba.bidirectional import BidirectionalMamba2
from tpcfm.nn.mamba.mamba1 import Mamba1
from tpcfm.nn.mamba.mamba2 import Mamba2
from tpcfm.nn.mamba.mamba3 import Mamba3
from tpcfm.nn.nerf_embedding import NerfEmbedding
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.segments import Segments, segments
from tpcfm.prepare.sequences.settings import TargetConfig

CHUNK = 64


def new_mixer(config: Fm4nppModel) -> nn.Module:
    """Return the sequence mixer of one block: a module that maps (K Q, D) rows and their segments to (K Q, D)."""
    state = config.width // config.state_divisor
    if config.mixer == "mamba1":
        return Mamba1(config.width, state, config.expand)
    kinds = {"mamba2": Mamba2, "mamba3": Mamba3, "bidirectional": BidirectionalMamba2}
    return kinds[config.mixer](config.width, state, config.expand, config.head_size)


def width_ratio(config: Fm4nppModel) -> float:
    """Return the width relative to the base model of the parameterization; 1 with the standard one."""
    return 1.0 if config.parameterization == "standard" else config.width / config.base_width


class Block(nn.Module):
    """Norm and mixer: one residual branch."""

    def __init__(self, config: Fm4nppModel) -> None:
        super().__init__()
        self.norm = RMSNorm(config.width)
        self.mixer = new_mixer(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, where: Segments) -> Tensor:
        """Return the branch of (K Q, D) rows, before it is added to them."""
        return self.dropout(self.mixer(self.norm(x), where))


class Fm4npp(nn.Module):
    """The backbone with its pretraining head.

    Args:
        config: architecture.
        slots: predicted points per input point (k, or 1 for the next token).
    """

    def __init__(self, config: Fm4nppModel, slots: int) -> None:
        super().__init__()
        self.config, self.slots = config, slots
        self.recompute_above: float = math.inf  # points per micro-batch
        self.embedding = NerfEmbedding(config.width, config.frequencies, config.train_embedding)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = RMSNorm(config.width)
        self.head = nn.Linear(config.width, 3 * slots)
        if config.parameterization == "mup":
            mup.initialise(self, config.width, config.width // config.state_divisor, width_ratio(config))

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Predict, at every point, the normalised (eta, phi, r) of ``slots`` points.

        Args:
            features: (N, 4) normalised (E, eta, phi, r) in serialised order.
            offsets: (B+1,) first point of each event.

        Returns:
            (N, slots, 3) float32.
        """
        return self.head(self.final(features, offsets)).float().unflatten(1, (self.slots, 3))

    def final(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Return the normalised end of the residual stream (N, D), which the pretraining head reads."""
        x, where = self._start(features, offsets)
        last = x
        for _, stream in self._run(x, where):
            last = stream
        end: Tensor = self.norm(last[: where.n_rows])
        return end

    def branches(self, features: Tensor, offsets: Tensor, embedding: bool = False) -> Tensor:
        """Return the output of every residual branch, (layers, N, D): what the adapters mix (arXiv 2508.14087, Sec. 4.2).

        With ``embedding``, the point embedding comes before them as one more layer.
        """
        x, where = self._start(features, offsets)
        layers = [x] if embedding else []
        layers += [branch for branch, _ in self._run(x, where)]
        return torch.stack([layer[: where.n_rows] for layer in layers])

    def _start(self, features: Tensor, offsets: Tensor) -> tuple[Tensor, Segments]:
        n = features.shape[0]
        where = segments(offsets, n, CHUNK)
        filled = torch.cat([features, features.new_zeros(where.n_filled - n, features.shape[1])])
        with torch.autocast(features.device.type, enabled=False):  # the residual stream stays in float32
            return self.embedding(filled), where

    def _run(self, x: Tensor, where: Segments) -> Iterator[tuple[Tensor, Tensor]]:
        for block in self.blocks:
            if where.n_rows > self.recompute_above and torch.is_grad_enabled():
                branch = checkpoint(block, x, where, use_reentrant=False)
            else:
                branch = block(x, where)
            x = x + branch
            yield branch, x

    def set_activation_checkpointing(self, on: bool, above: int = 0) -> None:
        """Recompute each block in the backward pass: memory of one block instead of all; only of batches with more points than ``above``."""
        self.recompute_above = above if on else math.inf

    def points_that_fit(self, memory: float, precision: str) -> int:
        """Return the largest number of points per micro-batch that trains within so many bytes without recomputing, by estimate."""
        trained = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return points_that_fit(self.config, trained, memory, precision)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the optimiser's groups with the learning-rate multipliers of the parameterization."""
        return mup.parameter_groups(self, width_ratio(self.config), weight_decay)


def slots_of(targets: TargetConfig) -> int:
    """Return the number of points predicted at each point."""
    return targets.k if targets.objective == "next_neighbours" else 1
