"""Detectors of one's own: a silicon tracker without a signal, read from Parquet by its YAML file, as both families see it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_zoo import BACKBONE, TRAIN, described
from polar_mae_toys import MODEL
from tpcfm.detectors.registry import load_detector
from tpcfm.events.job import ingest_file
from tpcfm.inference.one_event import open_event
from tpcfm.inference.picture_data import picture_data
from tpcfm.inference.predict import predict_event
from tpcfm.inference.trained import event_features
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.registry import build
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups import cache as group_cache
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.sequences import cache as sequence_cache
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.report.show import show_model
from tpcfm.systems.architectures import Choice
from tpcfm.train import save_model
from tpcfm.workspace import Workspace

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "acts"
HITS = EXAMPLE / "hits_40.parquet"
SERIALIZATION, TARGETS = SerializationConfig(bins=(4, 4, 3)), TargetConfig(k=3)


@pytest.fixture(scope="module")
def acts(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Caches of the example's hits, and untrained networks of both families on them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space = Workspace(tmp_path_factory.mktemp("acts"))
    table = space.root / "hits.parquet"
    detector = load_detector(str(EXAMPLE / "detector.yaml"))
    ingest_file(HITS, detector, "acts", table, space.root / "rejected.parquet", split_rule=lambda _: "train")
    groups, sequences = space.cache("groups"), space.cache("sequences")
    for folder in (groups, sequences):
        folder.mkdir(parents=True)
    group_cache.write_part(table, groups / "a.arrow", TokenizerConfig(min_points=2))
    write_manifest(groups, name="groups")
    edges = sequences / "edges.json"
    sequence_cache.fit_edges([table], edges, SERIALIZATION)
    sequence_cache.write_part(table, edges, sequences / "a.arrow", SERIALIZATION, TARGETS)
    write_manifest(sequences, name="sequences", edges=edges)
    points, tokens = described(PreparedStore(sequences)), described(PreparedStore(groups))
    adapter = AdapterConfig(outputs={"particle": 0}, n_labels=1, width=16, queries=8, model=BACKBONE, train=TRAIN)  # type: ignore[arg-type]
    model = MODEL.model_dump(mode="json")
    for name, config in {
        "fm4npp": {"architecture": "fm4npp", "model": BACKBONE.model_dump(mode="json"), "targets": TARGETS.model_dump(mode="json"), **points},
        "adapter": {"architecture": "fm4npp_adapter", "adapter": adapter.model_dump(mode="json"), "pretrained": "fm4npp", **points},
        "point_mae": {"architecture": "point_mae", "model": model, "slots": 32, **tokens},
        "head": {"architecture": "polar_mae_head", "model": model, "head_hidden": 0, "label": "particle", "classes": [], "queries": 8, **tokens},
    }.items():  # fmt: skip
        save_model(space.run(name), build(config), config=config, card="", run={}, history=[])
    return space


@pytest.mark.parametrize(("run", "cache"), [("adapter", "sequences"), ("head", "groups")])
def test_objects_are_found_in_a_raw_file_as_in_the_cache(acts: Workspace, run: str, cache: str) -> None:
    store = PreparedStore(acts.cache(cache))
    with open_event(HITS, 7, acts.run(run)) as (one, row):
        found = predict_event(acts.run(run), one, row)
    ids = [event.rsplit("/", 1)[1] for event in store.event_ids(range(len(store)))]
    known = predict_event(acts.run(run), store, ids.index(found["event_id"].rsplit("/", 1)[1]))
    assert found["task"] == "particle"
    assert "energy" not in found
    for name in ("x", "row", "prediction", "truth"):
        np.testing.assert_array_equal(found[name], known[name])


@pytest.mark.parametrize(("run", "rows"), [("fm4npp", "points"), ("point_mae", "tokens")])
def test_features_of_a_raw_event(acts: Workspace, run: str, rows: str) -> None:
    with open_event(HITS, 3, acts.run(run)) as (store, row):
        found = event_features(acts.run(run), store, row)
        count = store.lengths[row] if rows == "points" else len(store.value(row, "centre"))
    assert found.layers.shape[1] == len(found.xyz) == count
    assert torch.isfinite(found.layers).all()


@pytest.mark.parametrize(
    ("run", "picture"),
    [
        ("fm4npp", "features"),
        ("fm4npp", "order"),
        ("adapter", "prediction"),
        ("head", "prediction"),
        ("point_mae", "attention"),
        ("point_mae", "reconstruction"),
    ],
)
def test_every_picture_of_a_raw_event(acts: Workspace, tmp_path: Path, run: str, picture: str) -> None:
    data = picture_data(HITS, 3, [acts.run(run)], picture, Choice())
    show_model(data, tmp_path / "event.html")
    assert data["detector"].name == "acts_generic"
    assert (tmp_path / "event.html").stat().st_size > 5000
