"""What the baselines say about events (see `tpcfm.systems.architectures.Architecture`)."""

from pathlib import Path
from typing import get_args

import numpy as np
import torch

from tpcfm.models.baselines.settings import GraphNetConfig
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.point_batches import GraphBatches, VoxelBatches
from tpcfm.systems.baselines.settings import PointBaselineConfig, PointModel
from tpcfm.systems.baselines.sparse_unet import VoxelBatches as LatticeBatches
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackBatches, TrackSystem
from tpcfm.systems.fm4npp.support import check_sequences
from tpcfm.systems.trained import load_model
from tpcfm.tasks.answers import Answer, Predictor, Tensors, class_answer
from tpcfm.tasks.support import Collate
from tpcfm.train import StepInfo, load_config

NOT_TRAINING = StepInfo(step=0, epoch=0, seed=0, training=False)


def predictor(folder: Path, store: PreparedStore, device: torch.device) -> Predictor:
    """Return a trained baseline.

    Raises:
        CheckpointError: the weights do not fit, or the sequences were made otherwise.
    """
    config, network = load_config(folder), load_model(folder).to(device)
    label, track = config["label"], None
    collate: Collate
    if "baseline" not in config:
        collate = LatticeBatches(augment=False)
    else:
        check_sequences(folder, config, store)
        if config["baseline"]["model"] in get_args(PointModel):
            point = PointBaselineConfig.model_validate(config["baseline"])
            collate = (
                VoxelBatches(point.voxel) if point.voxel else GraphBatches(point.graph or GraphNetConfig(), keep=0)
            )
        else:
            block = TrackBaselineConfig.model_validate(config["baseline"])
            collate, track = TrackBatches(block.model, keep=0), TrackSystem(block, store.detector)

    @torch.no_grad()
    def answer(batch: Batch, tensors: Tensors) -> dict[str, Answer]:
        found = network(tensors)
        if track is not None:
            events = [track.cluster(event, config["clustering"]) for event in track.split(batch, found)]
            return {label: Answer(np.concatenate(events))}
        return {label: class_answer(found[label] if isinstance(found, dict) else found)}

    return Predictor(lambda held, rows: collate(held, rows, NOT_TRAINING), answer)
