"""Parameter counts of FM4NPP by formula, beside the published ones (arXiv 2508.14087, Tables 1 and 2, App. C.4)."""

import math
from typing import Any

from tpcfm.models.fm4npp.settings import WIDTHS, AdapterConfig, Fm4nppModel

PUBLISHED_BACKBONE = {"m1": 0.34e6, "m2": 1.3e6, "m3": 5.3e6, "m4": 21e6, "m5": 84e6, "m6": 188e6}
PUBLISHED_CHECKPOINT = {256: 4_923_386, 1536: 174_784_026}
PUBLISHED_TRACK_ADAPTER = {
    64: 2_137_806,
    128: 2_154_382,
    256: 2_187_534,
    512: 2_253_838,
    1024: 2_386_446,
    1536: 2_519_054,
}
PUBLISHED_PID_ADAPTER = {256: 399_249, 1536: 736_529}
PUBLISHED_NOISE_ADAPTER = {256: 398_478, 1536: 735_758}
PUBLISHED_DEPTH = {0: 564_241, 1: 1_091_345, 2: 1_618_449, 4: 2_672_657}
OUTPUTS = {"track": 0, "pid": 5, "noise": 2}


def mixer(config: Fm4nppModel) -> int:
    """Return the parameters of one mixer."""
    d, n, inner = config.width, config.width // config.state_divisor, config.width * config.expand
    if config.mixer == "mamba2":
        heads = inner // config.head_size
        return d * (2 * inner + 2 * n + heads) + 5 * (inner + 2 * n) + 3 * heads + inner + inner * d
    if config.mixer == "bidirectional":
        heads = inner // config.head_size
        return d * (2 * inner + 2 * n + 2 * heads) + 5 * (inner + 2 * n) + 5 * heads + inner + inner * d
    if config.mixer == "mamba3":
        heads = inner // config.head_size
        return d * (2 * inner + 2 * n + 3 * heads + n // 4) + 2 * n * (heads + 1) + 2 * heads + inner * d
    rank = math.ceil(d / 16)
    return 2 * d * inner + 5 * inner + inner * (rank + 2 * n) + inner * (rank + 1) + inner * n + inner + inner * d


def embedding(config: Fm4nppModel) -> int:
    """Return the numbers of the point embedding (frozen by default)."""
    return (4 + 6 * config.frequencies) * config.width


def backbone(config: Fm4nppModel, slots: int = 30, frozen: bool = False) -> int:
    """Return the parameters of the backbone with its head.

    Args:
        config: architecture.
        slots: predicted points per point.
        frozen: count a frozen embedding too.
    """
    d = config.width
    total = config.depth * (mixer(config) + d) + d + 3 * slots * (d + 1)
    return total + (embedding(config) if frozen or config.train_embedding else 0)


def _attention(width: int) -> int:
    return 4 * (width * width + width)


def _feed_forward(width: int) -> int:
    return 2 * 2 * width * width + 3 * width


def adapter_input(config: AdapterConfig, layers: int) -> int:
    """Return the parameters from backbone features to adapter width: layer mix and two norms, if it mixes, and one linear map."""
    d, w = config.model.width, config.width
    return (layers + d + 2 * d if config.reads == "layers" else 0) + d * w + w


def adapter(config: AdapterConfig, layers: int = 12) -> int:
    """Return the trainable parameters of an adapter that reads ``layers`` backbone layers."""
    w = config.width
    total = adapter_input(config, layers) + w  # the norm before the head
    if config.instances:
        points = 2 * w + _feed_forward(w)
        queries = 2 * config.queries * w
        decoder = config.decoder_layers * (2 * _attention(w) + _feed_forward(w) + 3 * 2 * w)
        classes = 2 * w + w * w + w + 2 * w + 2
        masks = 2 * w + 2 * (w * w + w)
        return total + points + queries + decoder + classes + masks
    total += config.attention_layers * (_attention(w) + 2 * w)
    if config.feed_forward:
        total += config.attention_layers * (_feed_forward(w) + 2 * w)
    return total + sum(2 * w + w * w + w + w * c + c for c in config.outputs.values())


def parameter_table() -> list[dict[str, Any]]:
    """Return rows ``part``, ``ours``, ``published`` (None where nothing is published).

    The published counts of the backbone are printed with two digits (Table 1); twelve Mamba-1 blocks reproduce them at all
    six widths, Mamba-2 blocks of the released size have 7 % fewer numbers.
    """
    rows: list[dict[str, Any]] = []
    for kind in ("mamba1", "mamba2"):
        for name, width in WIDTHS.items():
            model = Fm4nppModel(width=width, mixer=kind)  # type: ignore[arg-type]
            note = "reproduces Table 1" if kind == "mamba1" else "as released; Table 1 counts Mamba-1 blocks"
            rows.append(
                _row(f"backbone {name}, {kind}, trained ({note})", backbone(model), int(PUBLISHED_BACKBONE[name]))
            )
            if kind == "mamba2" and width in PUBLISHED_CHECKPOINT:
                ours = backbone(model, frozen=True)
                rows.append(
                    _row(f"backbone {name}, {kind}, checkpoint with embedding", ours, PUBLISHED_CHECKPOINT[width])
                )
    for width in WIDTHS.values():
        rows.append(_row(f"track adapter, width {width}", _adapter("track", width), PUBLISHED_TRACK_ADAPTER[width]))
    published = {"pid": PUBLISHED_PID_ADAPTER, "noise": PUBLISHED_NOISE_ADAPTER}
    for task, counts in published.items():
        for width, count in counts.items():
            # 4.5 numbers per channel of the published count belong to an embedder that the published head does not use.
            part = f"{task} adapter, width {width} (published counts {count:,} with {9 * width // 2:,} of an unused embedder)"
            rows.append(_row(part, _adapter(task, width), count - 9 * width // 2))
    frozen = embedding(Fm4nppModel(width=1536))
    for depth, count in PUBLISHED_DEPTH.items():
        part = f"pid adapter, {depth} block{'' if depth == 1 else 's'} with feed-forward, width 1536, and the frozen point embedding"
        ours = _adapter("pid", 1536, attention_layers=depth, feed_forward=True) + frozen
        rows.append(_row(part, ours, count))
    return rows


def _adapter(task: str, width: int, **changes: Any) -> int:
    config = {
        **changes,
        "outputs": {task: OUTPUTS[task]},
        "n_labels": 1,
        "model": {"width": width},
        "train": {"steps": 1, "batch_size": 1},
    }
    return adapter(AdapterConfig.model_validate(config))


def _row(part: str, ours: int, published: int | None) -> dict[str, Any]:
    return {"part": part, "ours": ours, "published": published}
