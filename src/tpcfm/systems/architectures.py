"""What can be asked of a model directory, by the architecture that its ``config.json`` names. Imports no torch.

Beside `tpcfm.models.registry`, which builds the networks, this says which module knows how one is fed and what it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tpcfm.errors import CheckpointError

MASK_RATIO = 0.6
_POLAR_MAE, _FM4NPP, _BASELINES, _CLASSICAL = (
    f"tpcfm.systems.{name}.one_event" for name in ("polar_mae", "fm4npp", "baselines", "classical")
)


@dataclass(frozen=True)
class Choice:
    """What to look at: a label (prediction); layer and head from 1 and tokens from 0 (attention); masked share and seed
    (reconstruction)."""

    layer: int | None = None
    head: int | None = None
    tokens: Sequence[int] = ()
    mask_ratio: float = MASK_RATIO
    seed: int = 0
    label: str | None = None


@dataclass(frozen=True)
class Architecture:
    """What can be asked of a kind of model directory.

    Attributes:
        path: module with what it takes. ``prediction``: ``predictor(folder, store, device)``, a `tpcfm.tasks.answers.Predictor`;
            ``features``: ``embedder(folder, store, device, random=False)``, a `tpcfm.tasks.answers.Embedder`. The store says how the
            events will be prepared and may be empty. Where there is a predictor, also ``traceable(folder, store)``, a
            `tpcfm.tasks.traceable.Traceable` or why there is none. Other pictures: a function of their name, ``(folder, store, row, choice)`` to what
            the picture shows.
        pictures: what it can show; the first is the one shown unless another is asked for.
    """

    path: str
    pictures: tuple[str, ...] = ()

    @property
    def module(self) -> Any:
        """The module of `path`, imported when needed: it brings torch."""
        return import_module(self.path)


_PRETRAINED = Architecture(_POLAR_MAE, ("attention", "reconstruction", "features"))
_SEQUENCE_BASELINE = Architecture(_BASELINES, ("prediction", "order"))
ARCHITECTURES = {
    "polar_mae": _PRETRAINED,
    "point_mae": _PRETRAINED,
    "token_encoder": Architecture(_POLAR_MAE),
    "polar_mae_head": Architecture(_POLAR_MAE, ("prediction",)),
    "sparse_unet": Architecture(_BASELINES, ("prediction",)),
    "fm4npp": Architecture(_FM4NPP, ("features", "order")),
    "fm4npp_adapter": Architecture(_FM4NPP, ("prediction", "order")),
    **dict.fromkeys(
        ("classical_trees", "classical_edges", "classical_dbscan"), Architecture(_CLASSICAL, ("prediction",))
    ),
    **dict.fromkeys(
        (
            *(f"baseline_{model}" for model in ("sage", "graph_conv", "gcn", "gat", "voxel_unet")),
            *(f"baseline_{model}" for model in ("eggnet", "exatrkx", "hept", "kalman")),
        ),
        _SEQUENCE_BASELINE,
    ),
}
PICTURES = ("prediction", "attention", "reconstruction", "features", "order")


def architecture_of(config: Any, folder: object, picture: str = "") -> Architecture:
    """Return what can be asked of a model directory.

    Args:
        config: its ``config.json``.
        folder: where it lies, for messages.
        picture: it must be able to show this.

    Raises:
        CheckpointError: an architecture that is not known, or cannot show this.
    """
    kind = str(config.get("architecture"))
    found = ARCHITECTURES.get(kind)
    if found is None:
        raise CheckpointError(f"{folder}: a model of architecture {kind!r}; allowed: {', '.join(ARCHITECTURES)}")
    if picture and picture not in found.pictures:
        possible = ", ".join(found.pictures) or "none"
        raise CheckpointError(
            f"{folder}: a model of architecture {kind!r} makes no picture {picture!r}; it makes: {possible}"
        )
    return found
