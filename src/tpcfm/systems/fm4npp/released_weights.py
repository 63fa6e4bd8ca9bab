"""Names and shapes of the published FM4NPP checkpoints, to and from this package's backbone (arXiv 2508.14087).

The published files hold ``embedder.proj`` (energy vector), ``embedder.embed.projection`` (position matrix), ``mamba_layers.i.0`` (norm),
``mamba_layers.i.1`` (mixer, with separate B and C maps), ``norm`` and ``output_layer``.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from tpcfm.errors import CheckpointError
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.nn.mamba.mamba2 import from_fused

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
_PREFIX = re.compile(r"^(?:module\.|model\.|_orig_mod\.)+")
_RULES = (
    (re.compile(r"^embedder\.proj(?:\.weight)?$"), "embedding.energy"),
    (re.compile(r"^embedder\.embed\.projection$"), "embedding.position"),
    (re.compile(r"^mamba_layers\.(\d+)\.0\.weight$"), r"blocks.\1.norm.weight"),
    (re.compile(r"^mamba_layers\.(\d+)\.1\.(.+)$"), r"blocks.\1.mixer.\2"),
    (re.compile(r"^norm\.weight$"), "norm.weight"),
    (re.compile(r"^output_layer\.(weight|bias)$"), r"head.\1"),
)
_BACK = (
    (re.compile(r"^embedding\.energy$"), "embedder.proj"),
    (re.compile(r"^embedding\.position$"), "embedder.embed.projection"),
    (re.compile(r"^blocks\.(\d+)\.norm\.weight$"), r"mamba_layers.\1.0.weight"),
    (re.compile(r"^blocks\.(\d+)\.mixer\.(.+)$"), r"mamba_layers.\1.1.\2"),
    (re.compile(r"^norm\.weight$"), "norm.weight"),
    (re.compile(r"^head\.(weight|bias)$"), r"output_layer.\1"),
)


def unwrap(content: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the plain state dict inside a checkpoint: nested dicts opened, prefixes of wrappers removed.

    Raises:
        CheckpointError: no weights in it.
    """
    for _ in WRAPPERS:
        inner = next((content[k] for k in WRAPPERS if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            break
        content = inner  # type: ignore[assignment]
    state = {_PREFIX.sub("", name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise CheckpointError(f"no weights in the checkpoint; its keys are {sorted(content)[:8]}")
    return state


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a published checkpoint; mixers in the fused layout of ``mamba_ssm`` are taken apart.

    Raises:
        CheckpointError: a name that is not of this layout, or parts are missing.
    """
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        new = next((p.sub(r, name) for p, r in _RULES if p.match(name)), None)
        if new is None:
            raise CheckpointError(
                f"weight {name!r} is not of the published FM4NPP layout (embedder, mamba_layers, norm, output_layer)"
            )
        out[new] = value.reshape(-1) if new == "embedding.energy" else value
    for prefix in sorted({name.rpartition("mixer.")[0] + "mixer." for name in out if ".mixer." in name}):
        if prefix + "lin_B.weight" not in out and prefix + "norm.weight" in out:
            own = {name.removeprefix(prefix): out.pop(name) for name in list(out) if name.startswith(prefix)}
            out |= {prefix + name: value for name, value in from_fused(own).items()}
    return out


def to_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename this package's weights to the published layout (separate B and C maps)."""
    out = {}
    for name, value in state.items():
        new = next((p.sub(r, name) for p, r in _BACK if p.match(name)), None)
        if new is None:
            raise CheckpointError(f"weight {name!r} is not of an FM4NPP backbone")
        out[new] = value
    return out


def infer_config(state: Mapping[str, Tensor]) -> tuple[Fm4nppModel, int]:
    """Return architecture and predicted points per point from the shapes of renamed weights.

    Raises:
        CheckpointError: parts are missing or shapes contradict each other.
    """
    try:
        width = state["norm.weight"].shape[0]
        inner = state["blocks.0.mixer.norm.weight"].shape[0]
        heads = state["blocks.0.mixer.A_log"].shape[0]
        states = state["blocks.0.mixer.lin_B.weight"].shape[0]
        rows, slots = state["embedding.position"].shape[0], state["head.weight"].shape[0] // 3
    except (KeyError, IndexError) as error:
        raise CheckpointError(
            f"the weights of an FM4NPP backbone with Mamba-2 blocks are incomplete: lacks {error}"
        ) from error
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    if inner % width or inner % heads or width % states or (rows - 3) % 6:
        raise CheckpointError(
            f"shapes contradict each other: width {width}, inner {inner}, heads {heads}, state {states}, position code {rows}"
        )
    model = Fm4nppModel(
        width=width,
        depth=depth,
        expand=inner // width,
        head_size=inner // heads,
        state_divisor=width // states,
        frequencies=(rows - 3) // 6,
    )
    return model, slots
