"""The trainer: one loop for every model, exact resume, and the model directory. It knows no particular model.

Names are imported on first use, so that parts without torch (``keyed``, ``mlflow_store``) stay cheap to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tpcfm.losses.objective import Objective, StepInfo
    from tpcfm.train.batches import to_device
    from tpcfm.train.evaluation import evaluate_objective
    from tpcfm.train.keyed import keyed_generator
    from tpcfm.train.loop import fit
    from tpcfm.train.model_dir import load_weights, save_model
    from tpcfm.train.model_files import load_config
    from tpcfm.train.optimizer import decay_groups
    from tpcfm.train.source import PackedSource
    from tpcfm.train.standing import FitResult

_HOME = {
    "FitResult": "train.standing",
    "Objective": "losses.objective",
    "PackedSource": "train.source",
    "StepInfo": "losses.objective",
    "decay_groups": "train.optimizer",
    "evaluate_objective": "train.evaluation",
    "fit": "train.loop",
    "keyed_generator": "train.keyed",
    "load_config": "train.model_files",
    "load_weights": "train.model_dir",
    "save_model": "train.model_dir",
    "to_device": "train.batches",
}

__all__ = [
    "FitResult",
    "Objective",
    "PackedSource",
    "StepInfo",
    "decay_groups",
    "evaluate_objective",
    "fit",
    "keyed_generator",
    "load_config",
    "load_weights",
    "save_model",
    "to_device",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tpcfm.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tpcfm.train' has no attribute {name!r}")
