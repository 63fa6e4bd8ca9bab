"""What the classical methods say about one event (see `tpcfm.systems.architectures.Architecture`)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.classical.find_instances import Finder
from tpcfm.systems.classical.settings import FinderConfig
from tpcfm.systems.trained import load_model
from tpcfm.tasks.geometry import Geometry
from tpcfm.train import StepInfo, load_config, to_device


@torch.no_grad()
def predict(folder: Path, store: PreparedStore, row: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the class or instance of every point, by label.

    Raises:
        CheckpointError: the weights do not fit.
    """
    config, network = load_config(folder), load_model(folder)
    finder = None
    if "finder" in config:
        finder = Finder(FinderConfig.model_validate(config["finder"]), store.detector)
    info = StepInfo(step=0, epoch=0, seed=0, training=False)
    batch = (finder.geometry if finder else Geometry())(store, np.array([row]), info)
    answer = network(to_device(batch, torch.device("cpu")))
    if finder is None:
        return {config["label"]: answer.argmax(1).numpy()}
    return {config["label"]: finder.cluster(next(finder.split(batch, answer)), config["clustering"])}
