"""The global random generators (dropout, initialisation): saved, restored, and kept out of validation's way."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tpcfm.files import key64


def seed_all(seed: int, purpose: str) -> None:
    """Seed Python, NumPy and torch (all devices) from a seed and a purpose."""
    key = key64(purpose, seed)
    random.seed(key)
    np.random.seed(key & 0xFFFFFFFF)  # noqa: NPY002  the global generator is what third-party code draws from
    torch.manual_seed(key & 0x7FFFFFFFFFFFFFFF)


def get_state(device: torch.device) -> dict[str, Any]:
    """Return the states as tensors and plain values (readable without unpickling)."""
    name, keys, pos, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    version, numbers, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), int(pos), int(has_gauss), float(cached)],
        "python": [version, torch.tensor(numbers, dtype=torch.int64), gauss],
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore what ``get_state`` returned."""
    torch.set_rng_state(state["torch"])
    name, keys, pos, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), pos, has_gauss, cached))  # noqa: NPY002
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def preserved(device: torch.device) -> Iterator[None]:
    """Put the generators back afterwards, so that how often one validates never changes the training."""
    state = get_state(device)
    try:
        yield
    finally:
        set_state(state, device)
