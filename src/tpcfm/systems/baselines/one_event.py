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
from tpcfm.tasks.traceable import Labelled, NotTraceable, Traceable, labelled_outputs
from tpcfm.train import StepInfo, load_config

GRAPH = {"point_features": ("points", ""), "edge_source": ("edges",), "edge_bounds": ("point_bounds",)}
RULEBOOK = "pairs of voxels of sparse convolutions: torch.unique and nonzero, whose sizes depend on values"
OPERATORS = {
    "voxel_unet": RULEBOOK,
    "eggnet": "nearest neighbours of learned coordinates, searched event by event on the host; then DBSCAN",
    "exatrkx": "nearest neighbours of learned coordinates, searched event by event on the host; then union of sets",
    "hept": "hashes sorted into blocks event by event; then DBSCAN",
    "kalman": "no network: a filter in loops on the host",
}
"""What stops the networks that cannot be exported."""
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


def traceable(folder: Path, store: PreparedStore) -> Traceable | NotTraceable:
    """Return a trained graph network for export."""
    config = load_config(folder)
    if operator := OPERATORS.get(config["baseline"]["model"]) if "baseline" in config else RULEBOOK:
        return NotTraceable(operator)
    network, label = load_model(folder), config["label"]
    labelled = Labelled(network, lambda given: network(given), list(GRAPH), store.detector, [label])
    return Traceable(labelled.eval(), GRAPH, labelled_outputs([label]))
