"""Packed batches of serialised events (contract: docs/reference/contracts.md)."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.files import key64
from tpcfm.prepare.sequences.next_neighbours import Candidates, next_neighbours
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore

Batch = dict[str, npt.NDArray[Any]]
_LABELS = ("track", "pid", "noise")


def collate_sequences(
    store: PreparedStore,
    rows: Iterable[int],
    k: int | None = None,
    *,
    candidates: Candidates | None = None,
    wrap: bool | None = None,
) -> Batch:
    """Join some events of a sequences cache into one packed batch.

    Neighbours come from the cache where it has them for the same definition and at least ``k`` of them (then the first
    ``k``, since they are ordered by distance); otherwise they are computed here, with the same result.

    Args:
        store: a cache of kind "sequences".
        rows: its rows, at least one.
        k: neighbours per point; the cache's own number if not given; 0 leaves ``neighbour`` out.
        candidates: candidate definition; the cache's own if not given.
        wrap: azimuth across the seam; the cache's own if not given.

    Returns:
        ``offsets`` (B+1,) int64, ``event_key`` (B,) uint64, ``energy`` (N,) and ``features`` (N, 4) float32 (normalised
        energy, eta, phi, r), ``xyz`` (N, 3) float32 cm, ``neighbour`` (N, k) int64 (row in this batch, -1: none), and
        ``track``, ``pid``, ``noise`` (N,) int64 if all events of the batch carry them.

    Raises:
        DataError: the cache does not hold sequences, or there are no rows.
    """
    if store.manifest.get("kind") != "sequences":
        raise DataError(f"{store.folder}: a cache of {store.manifest.get('kind')!r}, sequences are needed here")
    cached = TargetConfig(**store.settings["targets"])
    k = cached.k if k is None else k
    candidates = cached.candidates if candidates is None else candidates
    wrap = cached.wrap if wrap is None else wrap
    same = candidates == cached.candidates and wrap == cached.wrap and k <= cached.k
    scaling = store.settings["serialization"]["scaling"]

    events = [store[row] for row in rows]
    if not events:
        raise DataError(f"{store.folder}: a batch needs at least one event")
    offsets = np.zeros(len(events) + 1, np.int64)
    np.cumsum([event["n_points"] for event in events], out=offsets[1:])
    features = np.empty((offsets[-1], 4), np.float32)
    for column, name in enumerate(("feature_energy", "eta", "phi", "r")):
        np.concatenate([event[name] for event in events], out=features[:, column])
    xyz = np.empty((offsets[-1], 3), np.float32)
    for axis, name in enumerate("xyz"):
        np.concatenate([event[name] for event in events], out=xyz[:, axis])
    batch: Batch = {
        "offsets": offsets,
        "event_key": np.array([key64(event["event_id"]) for event in events], np.uint64),
        "energy": features[:, 0].copy(),
        "features": features,
        "xyz": xyz,
    }
    if k:
        neighbour = np.empty((offsets[-1], k), np.int64)
        for event, start, stop in zip(events, offsets[:-1], offsets[1:], strict=True):
            if same and event["neighbour"] is not None:
                found = event["neighbour"].reshape(-1, cached.k)[:, :k]
            else:
                found = next_neighbours(features[start:stop], k, scaling=scaling, candidates=candidates, wrap=wrap)
            neighbour[start:stop] = np.where(found >= 0, found + start, -1)
        batch["neighbour"] = neighbour
    for name in _LABELS:
        values = [event[name] for event in events]
        if all(value is not None for value in values):
            batch[name] = np.concatenate(values).astype(np.int64)
    return batch
