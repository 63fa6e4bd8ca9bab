"""Writer of the TPCpp-10M layout: ragged packs ``data`` and ``size`` in compressed npz files (arXiv 2509.05792)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.files import atomic

# stem: (dtype, columns; 0 for one number per point)
STEMS: Mapping[str, tuple[type, int]] = {
    "spacepoints": (np.float32, 4),
    "track_ids": (np.uint16, 0),
    "pid_labels": (np.uint8, 0),
    "noise_tags": (np.bool_, 0),
    "particles": (np.float64, 10),  # float64: PDG codes of nuclei do not fit float32
}


def write_pack(path: Path, stem: str, events: Sequence[npt.NDArray[Any]]) -> None:
    """Write one npz of the stem ``stem``: ``data`` (ΣN, …) of the stem's type and ``size`` (events,) int64. Atomic.

    Raises:
        DataError: an event's array has another type or shape than the layout allows.
        MachineError: the file cannot be written.
    """
    dtype, columns = STEMS[stem]
    tail = (columns,) if columns else ()
    for number, event in enumerate(events):
        if event.dtype != dtype or event.shape[1:] != tail:
            raise DataError(
                f"{path}: event {number} of {stem} is {event.dtype} with shape {event.shape}; "
                f"expected {np.dtype(dtype)} with shape (N{''.join(f', {n}' for n in tail)})"
            )
    size = np.array([len(event) for event in events], dtype=np.int64)
    data = np.concatenate([np.empty((0, *tail), dtype=dtype), *events])
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, data=data, size=size)


def file_name(stem: str, index: int) -> str:
    """Return the name of shard ``index``, as published: ``stem_NNN.npz``."""
    return f"{stem}_{index:03d}.npz"
