"""Supervised classes of points with the sparse residual U-Net: the baseline on the same labelled events."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.models.baselines.sparse_unet import SparseUNet
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch, collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.class_head import HeadTask, PointwiseObjective
from tpcfm.systems.polar_mae.settings import SparseUNetConfig
from tpcfm.train import StepInfo
from tpcfm.train.keyed import keyed_generator
from tpcfm.workspace import Workspace


@dataclass(frozen=True)
class VoxelBatches:
    """Collate function for voxels as large as the detector's pitch.

    Attributes:
        augment: in training, one of the symmetries of the volume's box per event and epoch (48 for a cube), keyed by seed,
            epoch and event.
    """

    augment: bool = True

    def __call__(self, store: PreparedStore, rows: npt.NDArray[np.int64], info: StepInfo) -> Batch:
        """Return offsets, keys and labels of `collate_groups`, and

        ``voxel`` (V, 3) int64, each once in an event; ``voxel_event`` (V,); ``voxel_features`` (V, 1): mean scaled signal of the
        points in it, 1 without a signal; ``point_voxel`` (N,) row of the voxel of each point. Points beyond the box belong to the voxels at
        its faces.
        """
        batch, detector = collate_groups(store, rows), store.detector
        batch = {key: batch[key] for key in ("offsets", "event_key", "signal", "xyz", *detector.labels) if key in batch}
        low = detector.volume.low
        cells = np.ceil((detector.volume.high - low) / detector.pitch).astype(np.int64)
        place = np.floor((batch.pop("xyz") - low) / detector.pitch).astype(np.int64).clip(0, cells - 1)
        if self.augment and info.training:
            for key, a, b in zip(batch["event_key"], batch["offsets"][:-1], batch["offsets"][1:]):
                generator = keyed_generator(info.seed, info.epoch, int(key), "lattice symmetry")
                axes = generator.permutation(3)
                while (cells[axes] != cells).any():
                    axes = generator.permutation(3)
                turned = place[a:b][:, axes]
                flip = generator.integers(2, size=3, dtype=np.int64)
                place[a:b] = np.where(flip, cells - 1 - turned, turned)
        event = np.repeat(np.arange(len(rows)), np.diff(batch["offsets"]))
        first, voxel, count = distinct(place, event, cells)
        signal = batch.pop("signal")
        features = np.ones(len(first), np.float32)
        if detector.main_signal is not None:
            features = (np.bincount(voxel, detector.scale_signal(signal), len(first)) / count).astype(np.float32)
        batch |= {"voxel": place[first], "voxel_event": event[first]}
        return {**batch, "voxel_features": features[:, None], "point_voxel": voxel}


def distinct(
    place: npt.NDArray[np.int64], event: npt.NDArray[np.int64], cells: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first point of each voxel in the order of the points (V,), the voxel of each point (N,), points per voxel (V,).

    Args:
        place: (N, 3) voxels.
        event: (N,) event of each point.
        cells: voxels per axis.
    """
    key = np.ravel_multi_index((event, *place.T), (int(event.max(initial=0)) + 1, *cells))
    _, first, inverse, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse], count[order]


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train with plain cross-entropy, keep the weights of the best validation macro F1, score on the test split.

    Raises:
        DataError: fewer labelled events than asked for.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(SparseUNetConfig)
    task = HeadTask(run, workspace, device, block, VoxelBatches(block.augment))
    torch.manual_seed(block.seed)
    sizes = {"filters": block.filters, "depth": block.depth, "repetitions": block.repetitions}
    task.train_classes(
        SparseUNet(block.classes, **sizes),
        PointwiseObjective([1.0] * block.classes, 0.0, block.label),
        title=f"{block.label}, sparse residual U-Net, {task.n_labels} labelled events",
        config={"architecture": "sparse_unet", **sizes},
        max_seconds=max_seconds,
    )
