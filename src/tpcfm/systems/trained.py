"""The network of a model directory, built and with its weights."""

from pathlib import Path

from torch import nn

from tpcfm.errors import CheckpointError
from tpcfm.models.registry import build
from tpcfm.train import load_config, load_weights


def load_model(folder: str | Path) -> nn.Module:
    """Build the network of a model directory and load its weights, in evaluation mode on the CPU.

    Of an adapter this is the task head; its frozen backbone is the model directory that its ``config.json`` names
    (`tpcfm.inference.predict.predict_event` takes both).

    Raises:
        CheckpointError: no model directory, an architecture that is not one of `tpcfm.models.registry.ARCHITECTURES`, or weights
            that do not fit.
    """
    try:
        model = build(load_config(folder))
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    load_weights(model, folder)
    return model.eval()
