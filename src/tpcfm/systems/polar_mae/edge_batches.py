"""Batches of the edge head on a frozen encoder: its features of every event are made once, then only the head runs."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.prepare.groups.batches import Batch, collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.tasks.edge_head import geometry_of
from tpcfm.tasks.event_cache import MEMORY_BYTES, EventCache
from tpcfm.train import StepInfo, to_device

NOT_TRAINING = StepInfo(step=0, epoch=0, seed=0, training=False)


class EdgeBatches:
    """Collate function: ``interpolated`` (N, D) float16 and the geometry that the edge head reads.

    The encoder sees events as they are; only the steps between near points are turned in training.
    """

    def __init__(
        self, model: SegmentationModel, head: EdgeHead, instances: bool, device: torch.device, keep: int = MEMORY_BYTES
    ) -> None:
        self.model, self.device = model, device
        self.geometry = geometry_of(head, instances, keep)
        self.tokens = GroupBatches(points=True)
        self.features = EventCache(self._make, keep)

    @torch.no_grad()
    def _make(self, store: PreparedStore, row: int) -> list[npt.NDArray[Any]]:
        batch = to_device(self.tokens(store, np.array([row]), NOT_TRAINING), self.device)
        self.model.encoder.to(self.device).eval()
        return [self.model.interpolated(batch).half().cpu().numpy()]

    def __call__(self, store: PreparedStore, rows: npt.NDArray[np.int64], info: StepInfo) -> Batch:
        """Return the packed batch."""
        batch = collate_groups(store, rows)
        if self.model.tokens:
            batch["interpolated"] = np.concatenate([self.features(store, int(row))[0] for row in rows])
        return self.geometry.add(batch, store, rows, info)
