"""What a masked autoencoder makes of hidden groups, as a table for pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tpcfm.files import atomic
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.point_mae import PointMAE
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.support import pretrained_model_config
from tpcfm.tasks.support import Rows
from tpcfm.train import StepInfo, load_config, load_weights, to_device


@torch.no_grad()
def reconstruct_event(
    model: PointMAE, store: PreparedStore, row: int, collate: GroupBatches, seed: int
) -> dict[str, Any]:
    """Return one event with its visible, masked and predicted points (see `write_reconstructions`), as arrays."""
    device = next(model.parameters()).device
    detector, signal = store.detector, store.detector.main_signal
    model.eval()
    batch = collate(store, np.array([row]), StepInfo(step=0, epoch=0, seed=seed, training=False))
    tensors = to_device(batch, device)
    out = model(Tokens.from_batch(tensors), tensors["masked"])
    masked, valid, centre, scale = (batch[k] for k in ("masked", "token_valid", "centre", "token_scale"))
    event: dict[str, Any] = {"event_id": store.value(int(row), "event_id")}
    for kind, chosen, points in (
        ("visible", ~masked, batch["token_points"][~masked]),
        ("masked", masked, batch["token_points"][masked]),
        ("predicted", masked, out.points.float().cpu().numpy()),
    ):
        real = valid[chosen]
        position = (points[..., :3] * scale[chosen][:, None, None] + centre[chosen][:, None])[real]
        event |= {f"{kind}_{axis}": position[:, k].astype(np.float32) for k, axis in enumerate("xyz")}
        if signal is not None:
            event[f"{kind}_{signal.name}"] = detector.unscale_signal(points[real][:, 3]).astype(np.float32)
    if out.energy is not None and signal is not None:
        predicted = out.energy.float().cpu().numpy()[valid[masked]]
        event[f"masked_{signal.name}_predicted"] = detector.unscale_signal(predicted).astype(np.float32)
    return event


def load_autoencoder(folder: Path, store: PreparedStore) -> PointMAE:
    """Build the masked autoencoder of a pretraining run and load its weights.

    Raises:
        CheckpointError: another architecture, or weights or groups that do not fit.
    """
    model = make_masked_autoencoder(
        load_config(folder)["architecture"], pretrained_model_config(folder, store), int(load_config(folder)["slots"])
    )
    load_weights(model, folder)
    return model


def write_reconstructions(
    path: Path, model: PointMAE, store: PreparedStore, rows: Rows, collate: GroupBatches, seed: int
) -> None:
    """Write one row per event: points of the visible groups, of the masked ones, and the predicted points.

    Columns ``event_id`` and, for each of ``visible``, ``masked``, ``predicted``, lists ``<kind>_x y z`` and ``<kind>_<signal>``
    (if the detector has one) in its units, point by point; a point in several groups occurs several times. Of each masked group
    as many predicted points are kept as it has true ones. With the energy task, ``masked_<signal>_predicted`` holds what the
    energy head says about each point of ``masked``.
    """
    events = [reconstruct_event(model, store, int(row), collate, seed) for row in rows]
    names = list(events[0])
    kinds = [pa.string() if name == "event_id" else pa.list_(pa.float32()) for name in names]
    table = pa.table([pa.array([e[n] for e in events], kind) for n, kind in zip(names, kinds)], names=names)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
