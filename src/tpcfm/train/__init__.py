"""The trainer: one loop for every model, exact resume, and the model directory. It knows no particular model.

Names are imported on first use, so that parts without torch (``keyed``, ``mlflow_store``) stay cheap to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tpcfm.train.batches import to_device
    from tpcfm.train.evaluation import evaluate_objective
    from tpcfm.train.keyed import keyed_generator
    from tpcfm.train.loop import fit
    from tpcfm.train.model_dir import load_weights, save_model
    from tpcfm.train.model_files import load_config
    from tpcfm.train.objective import Objective, StepInfo
    from tpcfm.train.optimizer import decay_groups
    from tpcfm.train.source import PackedSource
    from tpcfm.train.standing import FitResult

_HOME = {
    "FitResult": "standing",
    "Objective": "objective",
    "PackedSource": "source",
    "StepInfo": "objective",
    "decay_groups": "optimizer",
    "evaluate_objective": "evaluation",
    "fit": "loop",
    "keyed_generator": "keyed",
    "load_config": "model_files",
    "load_weights": "model_dir",
    "save_model": "model_dir",
    "to_device": "batches",
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
        return getattr(importlib.import_module(f"tpcfm.train.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tpcfm.train' has no attribute {name!r}")
