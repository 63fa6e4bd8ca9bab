"""Packed batches of prepared events: points one after another plus offsets, never padded."""

from collections.abc import Iterable

import numpy as np

from tpcfm.errors import DataError
from tpcfm.files import key64
from tpcfm.kernels import njit
from tpcfm.prepare.packing import Batch, coordinates, encoded_labels, join_offsets
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore

__all__ = ["Batch", "collate_groups", "collate_sequences", "join_offsets"]


def collate_groups(store: PreparedStore, rows: Iterable[int]) -> Batch:
    """Join some events of a groups cache into one packed batch.

    Returns:
        ``offsets`` (B+1,), ``event_key`` (B,) uint64, ``xyz`` (N, 3) float32 and ``signal`` (N,) float32 (zeros without
        one) in the detector's units, ``token_offsets`` (B+1,), ``centre`` (T, 3) float32, ``member`` (T, K) int64: row of a
        member in this batch, −1 for an empty slot (K is the tokenizer's cap); and the labels (see `encoded_labels`).

    Raises:
        DataError: the cache does not hold groups.
    """
    if store.manifest.get("kind") != "groups":
        raise DataError(f"{store.folder}: a cache of {store.manifest.get('kind')!r}, groups are needed here")
    slots = int(store.settings["max_points"])
    events = [store[row] for row in rows]
    if not events:
        raise DataError(f"{store.folder}: a batch needs at least one event")
    offsets = join_offsets(event["n_points"] for event in events)
    token_offsets = join_offsets(len(event["group_offset"]) - 1 for event in events)
    member = np.empty((token_offsets[-1], slots), np.int64)
    for event, first, token in zip(events, offsets, token_offsets):
        _fill_slots(event["group_offset"], event["member"], first, member[token:])
    main = store.detector.main_signal
    signal = np.zeros(offsets[-1], np.float32) if main is None else np.concatenate([e[main.name] for e in events])
    return {
        "offsets": offsets,
        "event_key": np.array([key64(event["event_id"]) for event in events], np.uint64),
        "xyz": coordinates(events),
        "signal": signal,
        "token_offsets": token_offsets,
        "centre": np.concatenate([event["centre_xyz"] for event in events]).reshape(-1, 3),
        "member": member,
        **encoded_labels(store.detector, events),
    }


@njit(cache=True, nogil=True)
def _fill_slots(group_offset, member, first, out):  # type: ignore[no-untyped-def]
    """Write the members of one event's groups into the first rows of ``out`` (T, K), shifted by ``first``; −1 elsewhere."""
    for t in range(group_offset.size - 1):
        begin = group_offset[t]
        size = group_offset[t + 1] - begin
        for k in range(size):
            out[t, k] = first + member[begin + k]
        for k in range(size, out.shape[1]):
            out[t, k] = -1
