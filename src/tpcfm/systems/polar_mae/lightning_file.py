"""Tensors of a pickled Lightning checkpoint, read without running anything the pickle asks for."""

import pickle
import types
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tpcfm.errors import CheckpointError

_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
}


class _Inert:
    """Stands in for any object that is not a tensor: takes whatever the pickle gives it and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> "_Inert":
        return self

    def append(self, value: Any) -> None:
        """Ignore a list item."""

    extend = add = append


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their containers and number types; every other class becomes :class:`_Inert`."""

    def find_class(self, module: str, name: str) -> Any:
        found = getattr(torch, name, None) if module == "torch" else None
        if (module, name) in _ALLOWED or isinstance(found, torch.dtype):
            return super().find_class(module, name)
        return _Inert


_TENSORS_ONLY = types.ModuleType("tensors_only")
_TENSORS_ONLY.Unpickler = _Unpickler  # type: ignore[attr-defined]


def read_lightning(path: str | Path) -> dict[str, Tensor]:
    """Return the ``state_dict`` of a Lightning checkpoint.

    Hyper-parameters, callbacks and optimiser states, which may hold arbitrary classes, are skipped, never built.

    Raises:
        CheckpointError: no such file, not a PyTorch zip file, or no ``state_dict`` of tensors in it.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint (a zip file is expected; very old formats are refused)"
        )
    try:
        content = torch.load(path, map_location="cpu", pickle_module=_TENSORS_ONLY, weights_only=False)
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{path}: cannot be read as a checkpoint: {type(error).__name__}: {error}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        keys = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: holds no `state_dict`; found {keys}")
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
