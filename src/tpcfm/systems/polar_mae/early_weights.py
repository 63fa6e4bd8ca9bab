"""Weights of the encoder a fifth into a pretraining, kept beside the last ones for the early rows of arXiv 2502.02558, Table 1."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tpcfm.errors import CheckpointError
from tpcfm.files import atomic

NAME = "early.safetensors"
SHARE = 0.2


def keep_early(encoder: nn.Module, folder: Path, step: int, steps: int) -> None:
    """Write ``early.safetensors`` at the first validation at or after a fifth of the steps; called at every validation.

    A file left by a training that starts again is removed at step 0. The step is in the metadata of the file.
    """
    path = folder / NAME
    if step == 0:
        path.unlink(missing_ok=True)
    if step == 0 or step < SHARE * steps or path.exists():
        return
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in encoder.state_dict().items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt", "step": str(step)})


def load_early(encoder: nn.Module, folder: Path) -> int | None:
    """Load the early weights into an encoder and return their step; None if the run kept none.

    Raises:
        CheckpointError: damaged, or of another architecture.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["step"])
        encoder.load_state_dict(load_file(path))
    except Exception as error:  # safetensors raises its own, undocumented classes
        raise CheckpointError(f"{path}: early weights do not load: {error}") from error
    return step
