"""What the jobs of PoLAr-MAE share: pretrained encoders that fit a cache, the label of a probe, what stands in a model card."""

from pathlib import Path

from torch import nn

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.prepare.store import PreparedStore
from tpcfm.tasks.labelled import labelled_events, with_labels
from tpcfm.tasks.support import Rows
from tpcfm.train import load_config, load_weights

ARCHITECTURES = ("polar_mae", "point_mae")
METHOD = "Method: Young, Jwa, Terao, arXiv 2502.02558."


def pretrained_model_config(folder: Path, store: PreparedStore) -> PolarMaeModel:
    """Return width and depth of a pretrained run that fits a cache.

    Raises:
        CheckpointError: the folder holds another architecture, or was trained on groups of another radius.
    """
    config = load_config(folder)
    if config.get("architecture") not in ARCHITECTURES:
        raise CheckpointError(
            f"{folder}: a model of architecture {config.get('architecture')!r}; needed is {' or '.join(ARCHITECTURES)}"
        )
    trained, given = config["tokenizer"]["radius"], store.settings["radius"]
    if trained != given:
        raise CheckpointError(f"{folder}: trained on groups of radius {trained} pitches, {store.folder} has {given}")
    return PolarMaeModel.model_validate(config["model"])


def load_encoder(encoder: nn.Module, folder: Path) -> None:
    """Load the encoder of a pretrained run.

    Raises:
        CheckpointError: the weights do not fit.
    """
    load_weights(encoder, folder, prefix="encoder.")


def first_classes(detector: Detector) -> str | None:
    """Return the label that tokens are judged by unless another is asked for: the first with classes; None without one."""
    return next(iter(detector.classes()), None)


def carries(store: PreparedStore, label: str | None, *splits: str) -> bool:
    """Return whether some event of each split carries a label."""
    return label is not None and all(
        any(store.value(int(row), label) is not None for row in store.rows(split)) for split in splits
    )


def some_labelled(store: PreparedStore, label: str, count: int, seed: int) -> Rows:
    """Return ``count`` labelled training events, or all if there are fewer, in the order of their nested subsets.

    Raises:
        DataError: none carries the label.
    """
    return labelled_events(store, [label], min(count, len(with_labels(store, "train", [label]))), seed)
