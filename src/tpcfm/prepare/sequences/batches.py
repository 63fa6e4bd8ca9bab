"""Packed batches of serialised events (contract: docs/reference/contracts.md)."""

from collections.abc import Iterable

import numpy as np

from tpcfm.errors import DataError
from tpcfm.files import key64
from tpcfm.prepare.packing import Batch, coordinates, encoded_labels, join_offsets
from tpcfm.prepare.sequences.next_neighbours import Candidates, next_neighbours
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore


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
        ``offsets`` (B+1,) int64, ``event_key`` (B,) uint64, ``features`` (N, 4) float32 (scaled signal, network coordinates),
        ``xyz`` (N, 3) float32 in the detector's unit, ``neighbour`` (N, k) int64 (row in this batch, -1: none), and the
        labels (see `encoded_labels`).

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
    events = [store[row] for row in rows]
    if not events:
        raise DataError(f"{store.folder}: a batch needs at least one event")
    offsets = join_offsets(event["n_points"] for event in events)
    features = np.concatenate([event["features"] for event in events]).reshape(-1, 4)
    batch: Batch = {
        "offsets": offsets,
        "event_key": np.array([key64(event["event_id"]) for event in events], np.uint64),
        "features": features,
        "xyz": coordinates(events),
        **encoded_labels(store.detector, events),
    }
    if k:
        how = {"preset": store.settings["serialization"]["preset"], "candidates": candidates, "wrap": wrap}
        neighbour = np.empty((offsets[-1], k), np.int64)
        for event, start, stop in zip(events, offsets[:-1], offsets[1:], strict=True):
            if same and event["neighbour"] is not None:
                found = event["neighbour"].reshape(-1, cached.k)[:, :k]
            else:
                found = next_neighbours(features[start:stop], k, store.detector, **how)
            neighbour[start:stop] = np.where(found >= 0, found + start, -1)
        batch["neighbour"] = neighbour
    return batch
