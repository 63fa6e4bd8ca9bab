"""Import of the released PoLAr-MAE and Point-MAE weights (Lightning checkpoints) into our model directory.

Parts are recognised by the shapes of their tensors and by which of them lie together, not by names: of names only three things
are used, the number of a block, the word "decoder" in the decoder's blocks, and the order of the two norms of a block. So
renamed modules of other releases are read as well.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tpcfm.detectors.registry import load_detector
from tpcfm.errors import CheckpointError
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.systems.polar_mae.lightning_file import read_lightning

DETECTOR, LABEL = "pilarnet", "semantic"  # that the published weights were trained on
HEAD_WIDTH = 64  # of every published width: 192/6 would be 32 and must be told by `heads`
_GAIN, _SHIFT = ("weight", "gamma", "scale"), ("bias", "beta", "shift")
State = dict[str, Tensor]


@dataclass
class _Module:
    """Tensors of one module of the file; sizes are without trailing axes of length one."""

    name: str
    tensors: State = field(default_factory=dict)

    def get(self, names: tuple[str, ...]) -> Tensor | None:
        return next((self.tensors[n] for n in names if n in self.tensors), None)

    @property
    def shape(self) -> tuple[int, ...]:
        gain = self.get(_GAIN)
        return () if gain is None else tuple(gain.shape)

    @property
    def has_bias(self) -> bool:
        return self.get(_SHIFT) is not None


class _File:
    """The modules of a checkpoint, and which of their tensors have been used."""

    def __init__(self, state: State, where: str) -> None:
        self.where = where
        self.modules: dict[str, _Module] = {}
        self.used: set[str] = set()
        for name, value in state.items():
            prefix, _, leaf = name.rpartition(".")
            while value.ndim > 1 and value.shape[-1] == 1:
                value = value.squeeze(-1)
            while value.ndim > 1 and value.shape[0] == 1:
                value = value.squeeze(0)
            self.modules.setdefault(prefix, _Module(prefix)).tensors[leaf] = value

    def find(
        self, what: str, test: Callable[[_Module], bool], under: str = "", *, outside: tuple[str, ...] = ()
    ) -> list[_Module]:
        """Return the modules under a prefix that pass a test, in the order of their names' numbers."""
        found = [
            m
            for m in self.modules.values()
            if _inside(m.name, under) and not any(_inside(m.name, other) for other in outside) and test(m)
        ]
        if not found:
            raise CheckpointError(f"{self.where}: no {what}" + (f" under {under!r}" if under else ""))
        return sorted(found, key=lambda m: _natural(m.name))

    def one(
        self, what: str, test: Callable[[_Module], bool], under: str = "", *, outside: tuple[str, ...] = ()
    ) -> _Module:
        """Return the only such module; several are fine if they hold the same numbers (shared modules)."""
        found = self.find(what, test, under, outside=outside)
        for other in found[1:]:
            same = all(torch.equal(other.tensors[k], v) for k, v in found[0].tensors.items() if k in other.tensors)
            if not same:
                raise CheckpointError(f"{self.where}: several {what}: {', '.join(m.name for m in found)}")
            self.mark(other)
        return found[0]

    def home(self, inner: _Module, what: str, test: Callable[[_Module], bool], count: int = 1) -> str:
        """Return the nearest enclosing prefix of a module that also holds ``count`` modules passing the test."""
        prefix = inner.name
        while prefix:
            prefix = prefix.rpartition(".")[0]
            if sum(_inside(m.name, prefix) and test(m) for m in self.modules.values()) >= count:
                return prefix
        raise CheckpointError(f"{self.where}: no {what} near {inner.name!r}")

    def mark(self, module: _Module) -> _Module:
        """Note that a module has been used."""
        self.used.update(f"{module.name}.{leaf}".lstrip(".") for leaf in module.tensors)
        return module

    def unused(self) -> list[str]:
        names = (f"{m.name}.{leaf}".lstrip(".") for m in self.modules.values() for leaf in m.tensors)
        return sorted(name for name in names if name not in self.used)


def _inside(name: str, prefix: str) -> bool:
    return not prefix or name == prefix or name.startswith(prefix + ".")


def _natural(name: str) -> list[Any]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"[._]|(?<=\D)(?=\d)", name)]


def _matrix(shape: tuple[int, int], bias: bool) -> Callable[[_Module], bool]:
    return lambda m: m.shape == shape and m.has_bias == bias and "running_mean" not in m.tensors


def _norm(width: int) -> Callable[[_Module], bool]:
    return lambda m: m.shape == (width,) and m.has_bias and "running_mean" not in m.tensors


def _batch_norm(width: int) -> Callable[[_Module], bool]:
    return lambda m: "running_mean" in m.tensors and m.tensors["running_mean"].shape == (width,)


class _Importer:
    """Fills the state dict of one of our models from a file."""

    def __init__(self, file: _File) -> None:
        self.file = file
        self.out: State = {}

    def put(self, target: str, module: _Module) -> None:
        """Copy a linear map, norm or batch norm."""
        self.file.mark(module)
        gain, shift = module.get(_GAIN), module.get(_SHIFT)
        assert gain is not None
        self.out[f"{target}.weight"] = gain
        if shift is not None:
            self.out[f"{target}.bias"] = shift
        if "running_mean" in module.tensors:
            for name in ("running_mean", "running_var"):
                self.out[f"{target}.{name}"] = module.tensors[name]
            seen = module.tensors.get("num_batches_tracked", torch.tensor(1_000_000))
            self.out[f"{target}.batches"] = seen.reshape(()).long()

    def stacks(self) -> dict[str, list[str]]:
        """Return the block prefixes of encoder and decoder."""
        attention = self.file.find("attention layers", lambda m: len(m.shape) == 2 and m.shape[0] == 3 * m.shape[1])
        found: dict[str, list[str]] = {"encoder": [], "decoder": []}
        for module in attention:
            block = re.match(r"(.*\.\d+)\.\D", module.name)
            if block is None:
                raise CheckpointError(f"{self.file.where}: {module.name!r} lies in no numbered block")
            stack = block[1].rpartition(".")[0]
            found["decoder" if "decoder" in stack.lower() else "encoder"].append(block[1])
        return found

    def block(self, target: str, prefix: str, width: int) -> int:
        """Copy one transformer block; return its MLP width."""
        one = self.file.one
        self.put(f"{target}.attention.qkv", one("qkv", _matrix((3 * width, width), True), prefix))
        self.put(f"{target}.attention.proj", one("projection", _matrix((width, width), True), prefix))
        norms = self.file.find("norms", _norm(width), prefix)
        if len(norms) != 2:
            raise CheckpointError(f"{self.file.where}: {len(norms)} norms in {prefix!r}; expected 2")
        self.put(f"{target}.norm1", norms[0])
        self.put(f"{target}.norm2", norms[1])
        hidden = one(
            "MLP", lambda m: len(m.shape) == 2 and m.shape[1] == width and m.shape[0] not in (width, 3 * width), prefix
        ).shape[0]
        self.put(f"{target}.mlp.0", one("MLP", _matrix((hidden, width), True), prefix))
        self.put(f"{target}.mlp.2", one("MLP", _matrix((width, hidden), True), prefix))
        return hidden

    def pointnet(self, target: str, channels: int, width: int, *, ordered: bool) -> int:
        """Copy a mini-PointNet; return its first hidden width."""
        first = self.file.one(
            f"mini-PointNet of {channels} channels",
            lambda m: len(m.shape) == 2 and m.shape[1] == channels and not m.has_bias,
        )
        hidden = first.shape[0]
        last = _matrix((width, 4 * hidden), True)
        home = self.file.home(first, f"linear map {width} × {4 * hidden}", last)
        one = self.file.one
        self.put(f"{target}.conv1", first)
        self.put(f"{target}.norm1", one("batch norm", _batch_norm(hidden), home))
        self.put(f"{target}.conv2", one("second layer", _matrix((2 * hidden, hidden), True), home))
        self.put(f"{target}.conv3", one("third layer", _matrix((4 * hidden, 4 * hidden), False), home))
        self.put(f"{target}.norm2", one("batch norm", _batch_norm(4 * hidden), home))
        self.put(f"{target}.conv4", one("fourth layer", last, home))
        if ordered:
            self.put(f"{target}.order", one("order embedding", _matrix((2 * hidden, 2 * hidden), True), home))
        return hidden


def map_state_dict(
    state: State, where: str = "checkpoint", heads: int | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Build our model (preset `released`) from the tensors of a published checkpoint.

    Args:
        state: names and tensors.
        where: what error messages call the file.
        heads: attention heads; by default one per 64 channels.

    Returns:
        The model with its weights, and its ``config`` (``architecture``, ``model``, ...), plus ``unused``: names in the file that
        no part of the model takes (buffers of metrics, for instance).

    Raises:
        CheckpointError: a part is missing, ambiguous or of another shape.
    """
    file = _File(state, where)
    work = _Importer(file)
    stacks = work.stacks()
    blocks = (*stacks["encoder"], *stacks["decoder"])
    width = file.find("attention", lambda m: len(m.shape) == 2 and m.shape[0] == 3 * m.shape[1])[0].shape[1]
    mlp = 0
    for number, prefix in enumerate(stacks["encoder"]):
        mlp = work.block(f"encoder.transformer.blocks.{number}", prefix, width)
    hidden = work.pointnet("encoder.embedding", 4, width, ordered=False)
    first = file.one("positional MLP", lambda m: len(m.shape) == 2 and m.shape[1] == 3 and m.has_bias, outside=blocks)
    work.put("encoder.position.0", first)
    work.put("encoder.position.2", file.one("positional MLP", _matrix((width, first.shape[0]), True), outside=blocks))
    common = {
        "width": width,
        "depth": len(stacks["encoder"]),
        "heads": heads or max(1, width // HEAD_WIDTH),
        "mlp_ratio": mlp // width,
        "embed_hidden": hidden,
        "preset": "released",
    }
    config: dict[str, Any]
    model: nn.Module
    if stacks["decoder"]:
        for number, prefix in enumerate(stacks["decoder"]):
            work.block(f"decoder.blocks.{number}", prefix, width)
        work.put("decoder.norm", file.one("output norm of the decoder", _norm(width), outside=blocks))
        token = next(
            (m for m in file.modules.values() for n, t in m.tensors.items() if "mask" in n and t.shape == (width,)),
            None,
        )
        if token is None:
            raise CheckpointError(f"{where}: no mask token of {width} numbers")
        leaf = next(n for n, t in token.tensors.items() if "mask" in n and t.shape == (width,))
        work.out["mask_token"] = token.tensors[leaf]
        file.used.add(f"{token.name}.{leaf}".lstrip("."))
        energy = [m for m in file.modules.values() if len(m.shape) == 2 and m.shape[1] == 2 * width and m.has_bias]
        points = file.one(
            "points head",
            lambda m: len(m.shape) == 2 and m.shape[1] == width and m.shape[0] % 4 == 0 and m.has_bias,
            outside=blocks,
        )
        work.put("points_head", points)
        slots = points.shape[0] // 4
        kind = "point_mae"
        if energy:
            kind = "polar_mae"
            work.put("energy_head", file.one("energy head", _matrix((slots, 2 * width), True)))
            work.pointnet("position_embedding", 3, width, ordered=True)
        architecture = PolarMaeModel(**common, decoder_depth=len(stacks["decoder"]))
        model = make_masked_autoencoder(kind, architecture, slots)
        config = {"architecture": kind, "slots": slots}
    else:
        up = file.one("upsampler", _matrix((width, width + 3), False))
        near = file.home(up, "batch norms of the upsampler", _batch_norm(width), count=2)
        norms = file.find("batch norms of the upsampler", _batch_norm(width), near)
        work.put("upsampler.conv1", up)
        work.put("upsampler.norm1", norms[0])
        work.put("upsampler.conv2", file.one("second upsampling layer", _matrix((width, width), False), near))
        work.put("upsampler.norm2", norms[1])
        head = file.one("head", lambda m: len(m.shape) == 2 and m.shape[1] == 3 * width and not m.has_bias)
        wide = head.shape[0]
        last = file.one(
            "last layer of the head",
            lambda m: len(m.shape) == 2 and m.shape[1] == wide // 2 and m.shape[0] <= 16 and m.has_bias,
        )
        near = file.home(head, "last layer of the head", lambda m: m is last)
        work.put("head.conv1", head)
        work.put("head.norm1", file.one("batch norm of the head", _batch_norm(wide), near))
        work.put("head.conv2", file.one("second layer of the head", _matrix((wide // 2, wide), False), near))
        work.put("head.norm2", file.one("batch norm of the head", _batch_norm(wide // 2), near))
        work.put("head.conv3", last)
        architecture = PolarMaeModel(**common)
        model = SegmentationModel(architecture, last.shape[0], head_hidden=wide)
        names = [one.name for one in load_detector(DETECTOR).classes()[LABEL].classes.values()]
        if last.shape[0] > len(names):
            raise CheckpointError(
                f"{where}: a head of {last.shape[0]} classes; those of {LABEL} are {', '.join(names)}"
            )
        config = {"architecture": "polar_mae_head", "head_hidden": wide, "label": LABEL}
        config |= {"classes": names[: last.shape[0]], "queries": 0, "class_weights": []}
    missing, unexpected = model.load_state_dict(work.out, strict=False)
    if missing or unexpected:
        raise CheckpointError(f"{where}: not found in the file: {missing[:3]}; not in the model: {unexpected[:3]}")
    return model.eval(), {**config, "model": architecture.model_dump(mode="json"), "unused": file.unused()}


def released_tokenizer() -> dict[str, Any]:
    """Return the tokenizer settings of the released weights: overlap factor 0.72 (paper: 0.73), 512 tokens, capped lists."""
    settings = TokenizerConfig(overlap=0.72, min_points=1024, max_tokens=512, neighbour_cap=256, ball_cap=256)
    return settings.model_dump(mode="json")


def load_released(path: str | Path, heads: int | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """Read a published Lightning checkpoint; returns what :func:`map_state_dict` does."""
    model, config = map_state_dict(read_lightning(path), str(path), heads)
    detector = load_detector(DETECTOR).model_dump(mode="json", exclude_defaults=True)
    return model, {**config, "tokenizer": released_tokenizer(), "detector": detector}
