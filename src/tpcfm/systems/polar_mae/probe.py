"""Linear probe of a pretrained encoder's tokens, or of random weights as the floor (arXiv 2502.02558, Table 1)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tpcfm.evaluate.embeddings import component_colours
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import hit_sums, write_event_scores
from tpcfm.evaluate.probe import TokenSet, event_counts, fit_and_predict, probe_rows, token_labels
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import atomic
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches, labelled_subset
from tpcfm.systems.polar_mae.early_weights import load_early
from tpcfm.systems.polar_mae.segmentation_task import CLASSES
from tpcfm.systems.polar_mae.settings import ProbeConfig
from tpcfm.tasks.support import (
    Rows,
    choose_device,
    evaluation_batches,
    events_of,
    load_encoder,
    model_card,
    pretrained_model_config,
    spread,
)
from tpcfm.train import save_model, to_device
from tpcfm.workspace import Workspace

MAX_POINTS = 60_000
COLOURED_EVENTS = 4


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Encode training and test events, fit the probes for every seed, write F1 rows and coloured tokens.

    Where the pretraining kept its weights after a fifth of the steps, they are probed in the same way (task ``probe_fifth``).
    Each seed draws its own training events, tokens and solver state; the test events are the same. ``max_seconds`` is accepted
    like in every recipe; a probe has no state to stop in.

    Raises:
        CheckpointError: the pretrained run is missing or does not fit the cache.
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

    test_rows = spread(events_of(store, "test"), block.test_events)
    counts = {"probe": _counts(encoder, store, test_rows, block, run.seed)}
    rows = [{"task": "probe", **row} for row in probe_rows(counts["probe"], CLASSES, seed=run.seed)]
    if run.pretrained is not None:
        early = TokenEncoder(encoder.config).to(where).eval()
        step = load_early(early, workspace.run(run.pretrained))
        if step is not None:
            counts["probe_fifth"] = _counts(early, store, test_rows, block, run.seed)
            found = probe_rows(counts["probe_fifth"], CLASSES, seed=run.seed)
            found.append({"metric": "step", "value": float(step)})
            rows += [{"task": "probe_fifth", **row} for row in found]

    folder = workspace.run(run.id)
    parts = [
        (task, seed, hit_sums(one, CLASSES))
        for task, each in counts.items()
        for seed, one in zip(block.seeds, each, strict=True)
    ]
    write_event_scores(folder / EVENT_SCORES, store.event_ids(test_rows), parts)
    write_coloured_tokens(folder / "tokens.parquet", encoder, store, spread(test_rows, COLOURED_EVENTS))
    scores = {f"F1 {row['class'] or 'mean'}": row["value"] for row in rows if row["task"] == "probe"}
    start = "random weights" if run.pretrained is None else f"tokens of {run.pretrained}"
    save_model(
        folder,
        encoder,
        config={
            "architecture": "token_encoder",
            "model": encoder.config.model_dump(mode="json"),
            "tokenizer": store.settings,
            "detector": "pilarnet",
        },
        card=model_card(f"Linear probe of {start}", run, store, encoder, scores),
        run={"run": run.model_dump(mode="json"), "data": store.fingerprint},
        history=[],
    )
    common = {"run": run.id, "family": run.family, "split": "test", "seed": run.seed}
    write_metrics(folder / "metrics.parquet", [{**common, **row} for row in rows])


def _counts(
    encoder: TokenEncoder, store: PreparedStore, test_rows: Rows, block: ProbeConfig, run_seed: int
) -> list[npt.NDArray[np.float64]]:
    """Return the counts per event of :func:`event_counts` for every seed of the probe."""
    test = encode(encoder, store, test_rows)
    counts = []
    for seed in block.seeds:
        key = 1000 * run_seed + seed
        train_rows = labelled_subset(store, events_of(store, "train"), block.train_events, key)
        train = encode(encoder, store, np.sort(train_rows)).sample(block.max_tokens, key)
        seen = test.sample(block.max_tokens, key)
        chosen = fit_and_predict(train, seen, components=block.components, c=block.c, seed=seed)
        counts.append(event_counts(seen, chosen, len(test_rows)))
    return counts


@torch.no_grad()
def encode(encoder: TokenEncoder, store: PreparedStore, rows: Rows) -> TokenSet:
    """Return the encoder output of all tokens of some events, nothing masked, with the classes of their points."""
    device = next(encoder.parameters()).device
    features, labels, event = [], [], []
    position = 0
    for _, batch in evaluation_batches(store, rows, GroupBatches(), MAX_POINTS, seed=0):
        encoded, _ = encoder(Tokens.from_batch(to_device(batch, device)))
        features.append(encoded.float().cpu().numpy())
        events = len(batch["event_key"])
        plain = collate_groups(store, rows[position : position + events])
        labels.append(token_labels(plain["semantic"], plain["member"], len(CLASSES)))
        event.append(np.repeat(np.arange(position, position + events), np.diff(batch["token_offsets"])))
        position += events
    return TokenSet(np.concatenate(features), np.concatenate(labels), np.concatenate(event))


def write_coloured_tokens(path: Path, encoder: TokenEncoder, store: PreparedStore, rows: Rows) -> None:
    """Write one row per token: ``event_id``, centre ``x y z`` (voxel), colour ``r g b`` in [0, 1], per event."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("event_id", "x", "y", "z", "r", "g", "b")}
    for row in rows:
        tokens = encode(encoder, store, np.array([row]))
        event = store[int(row)]
        centre = np.asarray(event["centre_xyz"]).reshape(-1, 3)
        colours = component_colours(tokens.features, centre)
        columns["event_id"].append(np.full(len(centre), event["event_id"], dtype=object))
        for k, (axis, channel) in enumerate(zip("xyz", "rgb")):
            columns[axis].append(centre[:, k].astype(np.float32))
            columns[channel].append(colours[:, k].astype(np.float32))
    with atomic(path) as temporary:
        table = pa.table({name: np.concatenate(parts) for name, parts in columns.items()})
        pq.write_table(table, temporary, compression="zstd")
