"""Tables behind the pictures of PoLAr-MAE that need the network: attention of one token per class (arXiv 2502.02558, Fig. 9)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.config.workflow import PicturesConfig
from tpcfm.files import atomic
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.attention_map import attention_maps, typical_queries
from tpcfm.systems.polar_mae.choice import PolarMaePictures
from tpcfm.tasks.support import events_of
from tpcfm.workspace import Workspace

TOKENS, ATTENTION = "attention_tokens.parquet", "attention.parquet"


def write_pictures(pictures: PolarMaePictures, config: PicturesConfig, workspace: Workspace, out: Path) -> None:
    """Write `TOKENS` (``event_id x y z``, one row per token of one event) and `ATTENTION` for one system.

    `ATTENTION` has one row per pretrained run, query, layer and head (from 1): ``start query token layer head`` and the list
    ``weight``, one per token. For the event see `richest_event`. ``config`` is not used.

    Raises:
        DataError: no test events.
        CheckpointError: a run does not fit the cache.
    """
    store = PreparedStore(workspace.cache(pictures.cache))
    row, queries = richest_event(store)
    rows = []
    for start, run in pictures.pretrained.items():
        found = attention_maps(workspace.run(run), store, row, queries=list(queries.values()))
        for q, (name, token) in enumerate(queries.items()):
            for at, layer in enumerate(found["layers"]):
                for number, head in enumerate(found["heads"]):
                    one = {"start": start, "query": name, "token": token, "layer": layer + 1, "head": head + 1}
                    rows.append({**one, "weight": found["weight"][q, at, number]})
    schema = pa.schema(
        [
            ("start", pa.string()),
            ("query", pa.string()),
            ("token", pa.int32()),
            ("layer", pa.int32()),
            ("head", pa.int32()),
        ]
        + [("weight", pa.list_(pa.float32()))]
    )
    with atomic(out / TOKENS) as temporary:
        pd.DataFrame({name: found[name] for name in ("event_id", "x", "y", "z")}).to_parquet(temporary, index=False)
    with atomic(out / ATTENTION) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def richest_event(store: PreparedStore, limit: int = 50) -> tuple[int, dict[str, int]]:
    """Return the test event to look at and the tokens to ask in it, by name.

    The event of median size among those with most classes, and a token per class (`typical_queries`); without labels the
    largest event, and its token of most points.
    """
    candidates = [(int(row), typical_queries(store, int(row))) for row in events_of(store, "test")[:limit]]
    most = max(len(queries) for _, queries in candidates)
    if not most:
        row = max((row for row, _ in candidates), key=lambda row: int(store.lengths[row]))
        token = int(np.argmax(store.value(row, "group_size")))
        return row, {f"token {token}": token}
    rich = [(row, queries) for row, queries in candidates if len(queries) == most]
    order = np.argsort([store.lengths[row] for row, _ in rich], kind="stable")
    return rich[int(order[len(order) // 2])]
