"""Tables behind the pictures of FM4NPP: features around the linear maps, paths of the serializations, box edges."""

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.config.workflow import PicturesConfig
from tpcfm.evaluate.clustering import feature_grouping
from tpcfm.evaluate.projections import has_umap, project, standardise
from tpcfm.evaluate.serialized_path import box_distributions, event_paths
from tpcfm.evaluate.track_pairs import COLUMNS, contrasting_pairs
from tpcfm.files import atomic
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.serialization import BoxEdges
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.adapter import adapter_labels, load_adapter
from tpcfm.systems.fm4npp.backbone_features import around_linear_map, equal_mix, event_batch
from tpcfm.systems.fm4npp.choice import Fm4nppPictures
from tpcfm.systems.fm4npp.support import load_backbone, new_backbone
from tpcfm.tasks.support import events_of, spread
from tpcfm.workspace import Workspace

FEATURES, GROUPING, PATHS, BOXES = "features.parquet", "grouping.parquet", "paths.parquet", "boxes.parquet"
PAIRS = "pairs.parquet"
POINT_COLUMNS = ["label", "source", "stage", "method", "dims", "point", "value", "c1", "c2", "c3"]
NUMBER_COLUMNS = ["label", "source", "stage", "space", "dims", "silhouette", "purity", "chance", "n", "n_labels"]
Sources = dict[tuple[str, str], npt.NDArray[np.float32]]
"""Features by (what made them, at which point)."""
BOX_EVENTS = 300
NUMBER_POINTS = 2000
PATH_POINTS = 400
PAIR_EVENTS = 100
CLOSE_CM, CLOSE_PITCHES = 10.0, 10.0  # tracks further apart on average are no close-by pair
KEPT_PAIRS = 2  # per direction
FEWEST_POINTS = 5  # of a projection


def write_pictures(pictures: Fm4nppPictures, config: PicturesConfig, workspace: Workspace, out: Path) -> None:
    """Write the five tables.

    `FEATURES`: one row per point of a projection: ``label source stage method dims`` and coordinates ``c1 c2 c3``, class or object
    ``value``, row of the point ``point``. `GROUPING`: ``label source stage space dims silhouette purity chance n n_labels``;
    objects are of one event, classes of several. `PATHS`: see `event_paths`, with ``event_id`` and
    ``same_next``. `BOXES`: see `box_distributions`. `PAIRS`: see `close_pairs`.

    Raises:
        DataError: no test events.
        CheckpointError: a run does not fit the cache.
    """
    store = PreparedStore(workspace.cache(pictures.cache))
    edges = BoxEdges.from_dict(store.manifest["edges"], source=str(store.folder))
    instances = pictures.instances or next(iter(store.detector.instances()), "")
    test = events_of(store, "test")
    by_size = test[np.argsort(store.lengths[test], kind="stable")]
    typical = int(by_size[len(by_size) // 2])
    _write(out / BOXES, _boxes(store, edges))
    shown_path = int(test[np.argmin(np.abs(store.lengths[test] - PATH_POINTS))])
    _write(out / PATHS, _paths(store, shown_path, edges, instances))

    _write(out / PAIRS, close_pairs(pictures.compared, instances, store, workspace, spread(test, PAIR_EVENTS)))

    samples = {instances: [typical]} if instances else {}
    samples |= {label: list(spread(test, config.events)) for label in store.detector.classes()}
    points: list[dict[str, Any]] = []
    numbers: list[dict[str, Any]] = []
    made: dict[tuple[int, ...], tuple[Batch, Sources]] = {}
    for label, rows in samples.items():
        key = tuple(int(row) for row in rows)
        if any(store.value(row, label) is None for row in key):  # unlabelled events: nothing to colour by
            continue
        if key not in made:
            batch = event_batch(store, key)
            made[key] = batch, _sources(pictures, store, workspace, batch)
        batch, sources = made[key]
        known = np.flatnonzero(batch[label] >= 0)
        if len(known) < FEWEST_POINTS:
            continue
        values = batch[label]
        shown, counted = known[_draw(len(known), config.points)], known[_draw(len(known), NUMBER_POINTS)]
        dims = [d for d in config.tsne_dims if d == 2 or label == instances]
        for (source, stage), features in sources.items():
            name = {"label": label, "source": source, "stage": stage}
            grouping = feature_grouping(features[counted], values[counted])
            numbers.append({**name, "space": "features", "dims": features.shape[1], **asdict(grouping)})
            if source in (label, "random", "pretrained"):
                _project(name, features[shown], values[shown], shown, dims, points, numbers)
    _write(out / FEATURES, pd.DataFrame(points, columns=POINT_COLUMNS))
    _write(out / GROUPING, pd.DataFrame(numbers, columns=NUMBER_COLUMNS))


def close_pairs(
    compared: dict[str, str], label: str, store: PreparedStore, workspace: Workspace, rows: npt.NDArray[np.int64]
) -> pd.DataFrame:
    """Return close-by true objects that one system merges and another separates, the closest first, with their events.

    Close is a mean distance below 10 cm, or ten times the pitch where the unit of the detector is not known.

    Args:
        compared: run of each system by name.
        label: of instances.
        store, workspace: the events, and where the runs lie.
        rows: events to search.

    Returns:
        One row per pair, at most `KEPT_PAIRS` per direction: ``merging separating event_id distance closest track_a track_b`` (unit of the detector) and
        the lists ``x y z truth merging_prediction separating_prediction`` of the event; ``searched`` (events) in every row.
    """
    systems = {name: load_adapter(workspace.run(run), store) for name, run in compared.items()}
    found: list[dict[str, Any]] = []
    cm = store.detector.coordinates.cm
    close = CLOSE_PITCHES * store.detector.pitch if cm is None else CLOSE_CM / cm
    for row in rows.tolist() if len(systems) > 1 else []:
        event = {name: np.asarray(store.value(row, name)) for name in ("x", "y", "z")}
        truth = store.detector.labels[label].encode(store.value(row, label))
        xyz = np.stack(list(event.values()), 1)
        answers = {name: adapter_labels(adapter, label, store, row) for name, adapter in systems.items()}
        for merging, separating in itertools.permutations(systems, 2):
            pairs = contrasting_pairs(xyz, truth, answers[merging], answers[separating])
            for pair in pairs[pairs["distance"] < close].to_dict("records"):
                common = {"merging": merging, "separating": separating, "event_id": store.value(row, "event_id")}
                labels = {"merging_prediction": answers[merging], "separating_prediction": answers[separating]}
                found.append(
                    {
                        **common,
                        **{str(k): v for k, v in pair.items()},
                        **event,
                        "truth": truth,
                        **labels,
                        "searched": len(rows),
                    }
                )
    columns = ["merging", "separating", "event_id", *COLUMNS, "x", "y", "z", "truth"]
    table = pd.DataFrame(found, columns=[*columns, "merging_prediction", "separating_prediction", "searched"])
    table = table.sort_values(["distance", "event_id"], ignore_index=True)
    return table.groupby(["merging", "separating"], sort=False).head(KEPT_PAIRS).reset_index(drop=True)


def _sources(pictures: Fm4nppPictures, store: PreparedStore, workspace: Workspace, batch: Batch) -> Sources:
    backbone = load_backbone(workspace.run(pictures.backbone), store)
    found: Sources = {
        ("input", ""): standardise(batch["features"]).astype(np.float32),
        ("random", ""): equal_mix(new_backbone(backbone.config, TargetConfig(), 0), batch),
        ("pretrained", ""): equal_mix(backbone, batch),
    }
    for task, run in pictures.adapters.items():
        before, after = around_linear_map(load_adapter(workspace.run(run), store), batch)
        found |= {(task, "before"): before, (task, "after"): after}
    return found


def _project(
    name: dict[str, str],
    features: npt.NDArray[np.float32],
    values: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    tsne_dims: list[int],
    points: list[dict[str, Any]],
    numbers: list[dict[str, Any]],
) -> None:
    """Project the features in every way asked for and add the points and their grouping."""
    wanted = [("pca", 2), *(("tsne", dims) for dims in tsne_dims)]
    wanted += [("umap", 2)] if has_umap() else []
    for method, dims in wanted:
        found = project(features, method, dims)
        numbers.append({**name, "space": method, "dims": dims, **asdict(feature_grouping(found, values))})
        if dims > 3:
            continue
        for row, value, place in zip(rows.tolist(), values.tolist(), found.tolist(), strict=True):
            axes = {f"c{k + 1}": x for k, x in enumerate(place)}
            points.append({**name, "method": method, "dims": dims, "point": row, "value": value, **axes})


def _draw(count: int, limit: int) -> npt.NDArray[np.int64]:
    """Return at most ``limit`` of ``count`` rows, sorted, the same for every source."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def _boxes(store: PreparedStore, edges: BoxEdges) -> pd.DataFrame:
    rows = spread(events_of(store, "train"), BOX_EVENTS)
    return box_distributions((store.value(int(row), "features").reshape(-1, 4) for row in rows), edges, store.detector)


def _paths(store: PreparedStore, row: int, edges: BoxEdges, label: str) -> pd.DataFrame:
    event = store[row]
    table = event_paths(event, edges, label)
    return table.assign(event_id=event["event_id"], same_next=table["order"].map(table.attrs["same_next"]))


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False)
