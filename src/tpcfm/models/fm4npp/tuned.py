"""A head of FM4NPP together with the backbone that is trained with it: last blocks, low-rank changes, or all."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.tuning.trained_part import choose_trained, still_blocks


class TunedAdapter(nn.Module):
    """Backbone and head in one network.

    Args:
        config: of the head, with ``mode`` other than frozen.
        backbone: with its pretrained weights. What the head does not read of it (the pretraining head, and the last norm of ``reads: layers``)
            is kept and not trained.
        geometry: numbers of local geometry of a point and of a pair, for a head of edge convolutions.
    """

    def __init__(self, config: AdapterConfig, backbone: Fm4npp, geometry: Sequence[int] = (0, 0)) -> None:
        super().__init__()
        self.config, self.backbone = config, backbone
        backbone.head.requires_grad_(False)
        backbone.norm.requires_grad_(config.reads == "final")
        choose_trained(backbone, backbone.blocks, config.mode, config.tuning)
        self.head = make_adapter(config, geometry)

    def train(self, mode: bool = True) -> "TunedAdapter":
        """Switch to training; blocks that do not learn stay in evaluation mode."""
        super().train(mode)
        still_blocks(self.backbone.blocks)
        return self

    def forward(self, batch: Mapping[str, Tensor]) -> Any:
        """Return what the head says about a batch with ``features`` (N, 4), ``offsets`` (B+1,), and local geometry if the head reads any."""
        features, offsets = batch["features"], batch["offsets"]
        inputs = self.backbone.read(features, offsets, self.config.mix_embedding, self.config.reads == "final")
        return self.head({**batch, "branches": inputs}) if self.config.edge_head else self.head(inputs, offsets)

    def set_activation_checkpointing(self, on: bool, above: int = 0) -> None:
        """Recompute each block of the backbone in the backward pass; only of batches with more points than ``above``."""
        self.backbone.set_activation_checkpointing(on, above)

    def points_that_fit(self, memory: float, precision: str) -> int:
        """Return the largest number of points per micro-batch that trains within so many bytes without recomputing, by estimate."""
        return self.backbone.points_that_fit(memory, precision)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the optimiser's groups: the head as one, those of the backbone with the multipliers of its parameterization.

        Low-rank changes have none, whatever the width (`tpcfm.nn.mup.role`).
        """
        rate = self.config.tuning.rate
        groups = [{"name": "adapter", "params": list(self.head.parameters()), "weight_decay": weight_decay}]
        for group in self.backbone.parameter_groups(weight_decay):
            scale = {"lr_scale": group["lr_scale"] * rate, "weight_decay": group["weight_decay"] / rate}
            groups.append({**group, **scale})
        return groups
