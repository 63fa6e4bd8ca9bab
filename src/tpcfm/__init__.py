"""tpcfm: foundation models for time projection chambers.

Public names, imported when first used: `load`, `Model`, `Prediction`, `Embedding` (docs/how-to/predict.md). All other modules belong to
the project and may change with any version.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tpcfm.inference.answers import Embedding, Prediction
    from tpcfm.inference.model import Model, load

__version__ = "0.1.0"
__all__ = ["Embedding", "Model", "Prediction", "__version__", "load"]

_HOME = {"Embedding": "answers", "Model": "model", "Prediction": "answers", "load": "model"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tpcfm.inference.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tpcfm' has no attribute {name!r}; public are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
