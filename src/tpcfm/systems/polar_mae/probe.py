"""Linear probe of a pretrained encoder's tokens, or of random weights as the floor (arXiv 2502.02558, Table 1)."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tpcfm.errors import ConfigError
from tpcfm.evaluate.embeddings import component_colours
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import hit_sums, write_event_scores
from tpcfm.evaluate.probe import TokenSet, event_counts, fit_and_predict, probe_rows, token_labels
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import atomic
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch, collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.settings import ProbeConfig
from tpcfm.systems.polar_mae.support import (
    METHOD,
    carries,
    first_classes,
    load_encoder,
    pretrained_model_config,
    some_labelled,
)
from tpcfm.tasks.labelled import with_labels
from tpcfm.tasks.support import Rows, choose_device, evaluation_batches, events_of, model_card, run_columns, spread
from tpcfm.train import save_model, to_device
from tpcfm.workspace import Workspace

MAX_POINTS = 60_000
COLOURED_EVENTS = 4
LOG = logging.getLogger(__name__)


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Encode training and test events, fit the probes for every seed, write F1 rows and coloured tokens.

    Each seed draws its own training events, tokens and solver state; the test events are the same. Events without labels are
    not probed; their tokens are coloured all the same. ``max_seconds`` is accepted like in every recipe; a probe has no state
    to stop in.

    Raises:
        CheckpointError: the pretrained run is missing or does not fit the cache.
        ConfigError: the label has no classes.
    """
    block = run.block(ProbeConfig)
    where = choose_device(device)
    store = PreparedStore(workspace.cache(run.cache))
    torch.manual_seed(run.seed)
    if run.pretrained is None:
        encoder = TokenEncoder(block.model)
    else:
        encoder = TokenEncoder(pretrained_model_config(workspace.run(run.pretrained), store))
        load_encoder(encoder, workspace.run(run.pretrained))
    encoder.to(where).eval()

    folder = workspace.run(run.id)
    rows, note = _probe(run, block, store, encoder, folder)
    write_coloured_tokens(folder / "tokens.parquet", encoder, store, spread(events_of(store, "test"), COLOURED_EVENTS))
    scores = {f"F1 {row['class'] or 'mean'}": row["value"] for row in rows}
    start = "random weights" if run.pretrained is None else f"tokens of {run.pretrained}"
    save_model(
        folder,
        encoder,
        config={
            "architecture": "token_encoder",
            "model": encoder.config.model_dump(mode="json"),
            "tokenizer": store.settings,
            "detector": store.detector.model_dump(mode="json", exclude_defaults=True),
        },
        card=model_card(f"Linear probe of {start}", run, store, encoder, scores, METHOD + note),
        run={"run": run.model_dump(mode="json"), "data": store.fingerprint},
        history=[],
    )
    common = {**run_columns(run), "split": "test", "seed": run.seed}
    write_metrics(folder / "metrics.parquet", [{**common, **row} for row in rows])


def _probe(
    run: Run, block: ProbeConfig, store: PreparedStore, encoder: TokenEncoder, folder: Path
) -> tuple[list[dict[str, Any]], str]:
    """Return rows of the metrics table, and what the card says; write the scores of every event."""
    classes = store.detector.classes()
    label = block.label or first_classes(store.detector)
    if block.label is not None and block.label not in classes:
        raise ConfigError(f"label: {store.detector.name} has no classes {label!r}; it has: {', '.join(classes)}")
    if label is None or not carries(store, label, "train", "test"):
        note = f"Nothing probed: the events carry no label with classes{f' {label!r}' if label else ''}."
        LOG.warning("%s: %s", store.folder, note)
        return [], f" {note}"
    test_rows = spread(with_labels(store, "test", [label]), block.test_events)
    counts, names = _counts(encoder, store, test_rows, block, run.seed, label), classes[label].names
    parts = [("probe", seed, hit_sums(one, names)) for seed, one in zip(block.seeds, counts, strict=True)]
    write_event_scores(folder / EVENT_SCORES, store.event_ids(test_rows), parts)
    return [{"task": "probe", **row} for row in probe_rows(counts, names, seed=run.seed)], f" Label: {label}."


def _counts(
    encoder: TokenEncoder, store: PreparedStore, test_rows: Rows, block: ProbeConfig, run_seed: int, label: str
) -> list[npt.NDArray[np.float64]]:
    """Return the counts per event of :func:`event_counts` for every seed of the probe."""
    test = encode(encoder, store, test_rows, label)
    counts = []
    for seed in block.seeds:
        key = 1000 * run_seed + seed
        train_rows = some_labelled(store, label, block.train_events, key)
        train = encode(encoder, store, np.sort(train_rows), label).sample(block.max_tokens, key)
        seen = test.sample(block.max_tokens, key)
        chosen = fit_and_predict(train, seen, components=block.components, c=block.c, seed=seed)
        counts.append(event_counts(seen, chosen, len(test_rows)))
    return counts


@torch.no_grad()
def encoded(
    encoder: TokenEncoder, store: PreparedStore, rows: Rows
) -> Iterator[tuple[Rows, Batch, npt.NDArray[np.float32]]]:
    """Yield some events with their batch and the encoder output of all their tokens (T, D), nothing masked."""
    device = next(encoder.parameters()).device
    position = 0
    for _, batch in evaluation_batches(store, rows, GroupBatches(), MAX_POINTS, seed=0):
        features, _ = encoder(Tokens.from_batch(to_device(batch, device)))
        events = len(batch["event_key"])
        yield rows[position : position + events], batch, features.float().cpu().numpy()
        position += events


def encode(encoder: TokenEncoder, store: PreparedStore, rows: Rows, label: str) -> TokenSet:
    """Return the tokens of some events with the classes of their points; those without a point of a class are left out."""
    features, labels, event = [], [], []
    classes, position = len(store.detector.classes()[label].values), 0
    for part, batch, found in encoded(encoder, store, rows):
        plain = collate_groups(store, part)
        which = token_labels(plain[label], plain["member"], classes)
        some = which.any(1)
        features.append(found[some])
        labels.append(which[some])
        event.append(np.repeat(np.arange(position, position + len(part)), np.diff(batch["token_offsets"]))[some])
        position += len(part)
    return TokenSet(np.concatenate(features), np.concatenate(labels), np.concatenate(event))


def write_coloured_tokens(path: Path, encoder: TokenEncoder, store: PreparedStore, rows: Rows) -> None:
    """Write one row per token: ``event_id``, centre ``x y z``, colour ``r g b`` in [0, 1], per event."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("event_id", "x", "y", "z", "r", "g", "b")}
    for row in rows:
        ((_, batch, features),) = encoded(encoder, store, np.array([row]))
        centre = batch["centre"]
        colours = component_colours(features, centre)
        columns["event_id"].append(np.full(len(centre), store.value(int(row), "event_id"), dtype=object))
        for k, (axis, channel) in enumerate(zip("xyz", "rgb")):
            columns[axis].append(centre[:, k].astype(np.float32))
            columns[channel].append(colours[:, k].astype(np.float32))
    with atomic(path) as temporary:
        table = pa.table({name: np.concatenate(parts) for name, parts in columns.items()})
        pq.write_table(table, temporary, compression="zstd")
