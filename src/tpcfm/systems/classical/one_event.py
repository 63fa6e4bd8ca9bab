"""What the classical methods say about events (see `tpcfm.systems.architectures.Architecture`)."""

from pathlib import Path

import numpy as np
import torch

from tpcfm.models.classical.trees import TreeEnsemble
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.classical.find_instances import Finder
from tpcfm.systems.classical.settings import FinderConfig
from tpcfm.systems.trained import load_model
from tpcfm.tasks.answers import Answer, Predictor, Tensors, class_answer
from tpcfm.tasks.geometry import Geometry
from tpcfm.tasks.traceable import JOINING, Labelled, NotTraceable, Traceable, labelled_outputs
from tpcfm.train import StepInfo, load_config

NOT_TRAINING = StepInfo(step=0, epoch=0, seed=0, training=False)


def predictor(folder: Path, store: PreparedStore, device: torch.device) -> Predictor:
    """Return trained trees or a finder.

    Raises:
        CheckpointError: the weights do not fit.
    """
    config, network = load_config(folder), load_model(folder).to(device)
    label, finder = config["label"], None
    if "finder" in config:
        finder = Finder(FinderConfig.model_validate(config["finder"]), store.detector, keep=0)
        finder.network = network
    geometry = finder.geometry if finder else Geometry(keep=0)

    @torch.no_grad()
    def answer(batch: Batch, tensors: Tensors) -> dict[str, Answer]:
        found = network(tensors)
        if finder is None:
            return {label: class_answer(found)}
        events = [finder.cluster(event, config["clustering"]) for event in finder.split(batch, found)]
        return {label: Answer(np.concatenate(events))}

    return Predictor(lambda held, rows: geometry(held, rows, NOT_TRAINING), answer)


def traceable(folder: Path, store: PreparedStore) -> Traceable | NotTraceable:
    """Return trained trees for export."""
    config, network = load_config(folder), load_model(folder)
    if "finder" in config:
        return NotTraceable(JOINING if "edges" in config["architecture"] else "no network: DBSCAN on positions")
    assert isinstance(network, TreeEnsemble)
    network.prepare_export()
    label, inputs = config["label"], {"geometry": ("points", "")}
    labelled = Labelled(network, lambda given: {label: network(given)}, list(inputs), store.detector, [label])
    return Traceable(labelled.eval(), inputs, labelled_outputs([label]))
