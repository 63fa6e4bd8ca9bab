"""What the baselines say about one event (see `tpcfm.systems.architectures.Architecture`)."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.models.baselines.settings import GraphNetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.point_batches import GraphBatches, VoxelBatches
from tpcfm.systems.baselines.settings import PointBaselineConfig, PointModel
from tpcfm.systems.baselines.sparse_unet import VoxelBatches as LatticeBatches
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackBatches, TrackSystem
from tpcfm.systems.fm4npp.support import check_sequences
from tpcfm.systems.trained import load_model
from tpcfm.tasks.support import Collate
from tpcfm.train import StepInfo, load_config, to_device

CPU = torch.device("cpu")


@torch.no_grad()
def predict(folder: Path, store: PreparedStore, row: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the class or instance of every point, by label.

    Raises:
        CheckpointError: the weights do not fit, or the sequences were made otherwise.
    """
    config, network = load_config(folder), load_model(folder)
    label = config["label"]
    if "baseline" not in config:
        return {label: _answer(network, LatticeBatches(augment=False), store, row)[1].argmax(1).numpy()}
    check_sequences(folder, config, store)
    if config["baseline"]["model"] in get_args(PointModel):
        point = PointBaselineConfig.model_validate(config["baseline"])
        collate = VoxelBatches(point.voxel) if point.voxel else GraphBatches(point.graph or GraphNetConfig())
        return {label: _answer(network, collate, store, row)[1][label].argmax(1).numpy()}
    block = TrackBaselineConfig.model_validate(config["baseline"])
    system = TrackSystem(block, store.detector)
    batch, answer = _answer(network, TrackBatches(block.model), store, row)
    return {label: system.cluster(next(system.split(batch, answer)), config["clustering"])}


def _answer(network: torch.nn.Module, collate: Collate, store: PreparedStore, row: int) -> tuple[Any, Any]:
    batch = collate(store, np.array([row]), StepInfo(step=0, epoch=0, seed=0, training=False))
    return batch, network(to_device(batch, CPU))
