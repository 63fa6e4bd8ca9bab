"""Supervised segmentation with the sparse residual U-Net: the baseline on the same labelled events."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.models.baselines.sparse_unet import SparseUNet
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch, collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.segmentation_task import CLASSES, PointwiseObjective, labelled_rows
from tpcfm.systems.polar_mae.segmentation_training import train_segmentation
from tpcfm.systems.polar_mae.settings import SparseUNetConfig
from tpcfm.train import StepInfo
from tpcfm.train.keyed import keyed_generator
from tpcfm.workspace import Workspace


@dataclass(frozen=True)
class VoxelBatches:
    """Collate function for voxels: ``voxel`` (N, 3) int64, ``voxel_event`` (N,), ``voxel_features`` (N, 1).

    Attributes:
        augment: in training, one of the 48 symmetries of the cube per event and epoch, keyed by seed, epoch and event.
    """

    augment: bool = True

    def __call__(self, store: PreparedStore, rows: npt.NDArray[np.int64], info: StepInfo) -> Batch:
        """Return the packed batch."""
        batch = collate_groups(store, rows)
        batch = {key: batch[key] for key in ("offsets", "event_key", "signal", "semantic", "xyz")}
        detector = store.detector
        low, high = detector.volume.low, detector.volume.high
        voxel = np.floor((batch.pop("xyz") - low) / detector.pitch).astype(np.int64)
        last = np.ceil((high - low) / detector.pitch).astype(np.int64) - 1
        if self.augment and info.training:
            for key, a, b in zip(batch["event_key"], batch["offsets"][:-1], batch["offsets"][1:]):
                generator = keyed_generator(info.seed, info.epoch, int(key), "lattice symmetry")
                axes = generator.permutation(3)
                turned = voxel[a:b][:, axes]
                flip = generator.integers(2, size=3, dtype=np.int64)
                voxel[a:b] = np.where(flip, last[axes] - turned, turned)
        batch["voxel"] = voxel
        batch["voxel_event"] = np.repeat(np.arange(len(rows)), np.diff(batch["offsets"]))
        batch["voxel_features"] = detector.scale_signal(batch["signal"]).astype(np.float32)[:, None]
        return batch


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train with plain cross-entropy, keep the weights of the best validation macro F1, score on the test split.

    Raises:
        ConfigError: more labels than training events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(SparseUNetConfig)
    store = PreparedStore(workspace.cache(run.cache))
    rows = labelled_rows(store, block.n_labels, block.seed)
    torch.manual_seed(block.seed)
    model = SparseUNet(len(CLASSES), filters=block.filters, depth=block.depth, repetitions=block.repetitions)
    objective = PointwiseObjective([1.0] * len(CLASSES), gamma=0.0)
    collate = VoxelBatches(block.augment)
    train_segmentation(
        run,
        workspace,
        store,
        model,
        block,
        rows=rows,
        objective=objective,
        collate=collate,
        title="Sparse residual U-Net",
        config={
            "architecture": "sparse_unet",
            "filters": block.filters,
            "depth": block.depth,
            "repetitions": block.repetitions,
        },
        max_seconds=max_seconds,
        device=device,
    )
