"""The second stage: tracks with a gap become one; learned on training, chosen on validation events; model directories predict what was scored."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from event_tables import PILARNET, SPHENIX
from fm4npp_toys import toy_cache
from plans import planned
from tpcfm.detectors.model import Detector
from tpcfm.inference.predict import predict_event
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.heads.settings import Join as JoinSettings
from tpcfm.plan.run import Run
from tpcfm.prepare.geometry.edge_geometry import near_pairs
from tpcfm.prepare.geometry.local_geometry import local_geometry
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.classical import find_instances
from tpcfm.systems.classical.settings import FinderConfig
from tpcfm.systems.fm4npp import find_tracks
from tpcfm.tasks.clusterings import Join, ScoredPairs
from tpcfm.tasks.joining import examples, grow
from tpcfm.tasks.labelled import LabelledTask
from tpcfm.workspace import Workspace

JOIN = {"pieces": [0.8], "thresholds": [0.5, 0.2], "rounds": 20}
TRAIN = {"steps": 20, "batch_size": 2, "learning_rate": 1e-2, "evaluate_every": 10}


def broken(rng: np.random.Generator, detector: Detector) -> tuple[ScoredPairs, np.ndarray]:
    """Straight tracks outwards, each with a gap of 12 pitches; all near pairs of one track are sure, none lies across a gap."""
    along = np.concatenate([np.arange(32, 48), np.arange(60, 76)])[:, None] * detector.pitch
    directions = rng.normal(size=(6, 3)) * (1, 1, 0.5)
    parts = [along * d / np.hypot(d[0], d[1]) + rng.normal(0, 0.05, (32, 3)) for d in directions]
    xyz, truth = np.concatenate(parts), np.repeat(np.arange(6), 32)
    edges = near_pairs(
        local_geometry(detector, xyz, None if detector.main_signal is None else np.zeros(len(xyz))).near, 6
    )
    same = truth[edges[0]] == truth[edges[1]]
    near = np.linalg.norm(xyz[edges[0]] - xyz[edges[1]], axis=1) < 8 * detector.pitch
    return ScoredPairs(xyz, np.zeros(len(xyz)), edges, np.where(same & near, 0.95, 0.05)), truth


@pytest.mark.parametrize("detector", [SPHENIX, PILARNET], ids=["cylinder", "box"])
def test_tracks_with_a_gap_become_one(detector: Detector) -> None:
    rng = np.random.default_rng(0)
    joins, parts = Join("partition", detector), []
    for _ in range(30):
        event, truth = broken(rng, detector)
        parts += examples(joins.start(event, 0.5), truth, rng)
    second = Join("partition", detector, grow(parts, JoinSettings(rounds=30), 0))
    whole = pieces = 0
    for _ in range(5):
        event, truth = broken(rng, detector)
        pieces += len(np.unique(joins(event, {"threshold": 0.5})))
        found = second(event, {"threshold": 0.5, "join": 0.5})
        whole += sum(
            len(np.unique(found[truth == t])) == 1 and (found == found[truth == t][0]).sum() == 32 for t in range(6)
        )
    assert pieces >= 55  # the first stage leaves two of nearly every track
    assert whole >= 24  # of 30


def test_without_true_pairs_there_is_no_second_stage() -> None:
    event, truth = broken(np.random.default_rng(0), SPHENIX)
    start = Join("partition", SPHENIX).start(event, 0.5)
    parts = list(examples(start, np.full(len(truth), -1), np.random.default_rng(0)))
    assert len(parts) == 1
    assert grow(parts, JoinSettings(), 0) is None


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("joining"))
    for detector in ("sphenix", "pilarnet"):
        toy_cache(space.cache(detector), detector=detector, k=1)
    return space


def job(cache: str, label: str, head: bool) -> Run:
    if head:
        edge_head = {"width": 16, "layers": 1, "neighbours": 8, "pairs": 8, "tuning_events": 3, "join": JOIN}
        plain = {"outputs": {label: 0}, "start": "none", "n_labels": 6, "edge_head": edge_head, "train": TRAIN}
        block: Any = AdapterConfig.model_validate({**plain, "model": {"width": 64, "depth": 2}})
    else:
        plain = {"label": label, "n_labels": 6, "edges": {"hidden": [16], "joining": "partition", "join": JOIN}}
        block = FinderConfig.model_validate({**plain, "train": TRAIN, "tuning_events": 3})
    return Run(
        slug=f"{cache}-{label}-{int(head)}", stage="baseline", system="mine", family="any", task=label, dataset="events", cache=cache,
        recipe="fm4npp.find_tracks" if head else "classical.find_instances", config=block.model_dump(mode="json"),
    )  # fmt: skip


@pytest.mark.parametrize(("cache", "label", "head"), [("sphenix", "track", True), ("pilarnet", "group", False)])
def test_learned_on_training_chosen_on_validation_and_predicted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, cache: str, label: str, head: bool
) -> None:
    asked: list[np.ndarray] = []
    answers = LabelledTask.answers

    def spy(self: LabelledTask, model: Any, answer: Any, events: Any = None) -> Iterator[Any]:
        asked.append(self.test if events is None else events)
        return answers(self, model, answer, events)

    monkeypatch.setattr(LabelledTask, "answers", spy)
    run = job(cache, label, head)
    (find_tracks if head else find_instances).run(run, workspace, device="cpu")
    store, folder = PreparedStore(workspace.cache(cache)), workspace.run(run.id)
    assert [set(rows) <= set(store.rows(split)) for rows, split in zip(asked, ("train", "validation", "test"))] == [
        True
    ] * 3
    frame = pd.read_parquet(folder / "metrics.parquet")
    chosen = frame[frame["metric"].str.startswith("clustering_")]["metric"].tolist()
    assert sorted(chosen) == ["clustering_join", "clustering_threshold"]
    shown = pd.read_parquet(folder / "predictions.parquet").set_index("event_id")
    found = predict_event(folder, store, int(store.rows("test")[0]))
    np.testing.assert_array_equal(found["prediction"], shown.loc[found["event_id"], "prediction"])


def test_a_second_stage_is_asked_for_and_renames_nothing_else() -> None:
    more = {"baselines": {"classical": {"tasks": {"track": {"labels": [4]}}}}, "adapters": {"heads": ["edges"]}}
    joined = {"baselines": {"classical": {"edges": {"join": {}}}}, "adapters": {"edge_head": {"join": {}}}}
    before = planned({"systems": {"fm4npp": more}}, "tiny")
    merged = {
        "baselines": {"classical": {**more["baselines"]["classical"], **joined["baselines"]["classical"]}},
        "adapters": {**more["adapters"], **joined["adapters"]},
    }
    after = planned({"systems": {"fm4npp": merged}}, "tiny")
    changed = {run.slug for name, run in after.runs.items() if name not in before.runs}
    assert changed
    assert all("edges" in slug for slug in changed)
