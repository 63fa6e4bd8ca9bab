"""Scores of a model on files with labels: those of its predictions by the measures of the training, in a form that the ledger reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from model_zoo import events_of
from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.cli import score as verb
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.evaluate.classification import ConfusionTally
from tpcfm.evaluate.table import read_metrics
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.inference.file_events import open_events
from tpcfm.inference.model import Model
from tpcfm.inference.score import score_files
from tpcfm.report.published.ledger import DIFFERS, ELSEWHERE, make_ledger
from tpcfm.report.published.ours import Results, read_scored
from tpcfm.workspace import Workspace


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(2), events=9), "_003")


@pytest.fixture
def voxels(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    return write_pilarnet(tmp_path / "raw" / "bombs.h5", [lartpc_event(rng, points=120 + 30 * i) for i in range(6)])


def values(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], float]:
    return {(row["task"], row["metric"], row["class"]): row["value"] for row in rows}


def both(model: Model, path: Path, label: str) -> list[tuple[Any, Any, Any]]:
    """Truth, prediction and which points have an answer, event by event."""
    with open_events(path, model.detector) as source:
        events = list(source.events)
    answers = list(model.predict_events(events))
    return [
        (np.asarray(e.columns[label], np.int64), p[label], p.answered)
        for e, p in zip(events, answers, strict=True)
        if not p.reason
    ]


def test_classes_are_scored_on_the_points_that_have_an_answer_and_a_class(space: Workspace, voxels: Path) -> None:
    model = Model(space.run("sparse_unet"), "cpu")
    found = values(score_files(model, [voxels], batch_points=300))
    label = load_detector("pilarnet").classes()["semantic"]
    tally, silent, points = ConfusionTally(label.names), 0, 0
    for truth, said, answered in both(model, voxels, "semantic"):
        use = answered & (label.encode(truth) >= 0)
        tally.update(label.encode(truth)[use], label.encode(said)[use])
        silent, points = silent + int((~answered).sum()), points + len(truth)
    for metric, value in tally.values().items():
        assert found["semantic", metric, ""] == pytest.approx(value, nan_ok=True)
    recall = tally.per_class().set_index("class")["recall"]
    assert found["semantic", "recall", "track"] == pytest.approx(recall["track"], nan_ok=True)
    assert found["semantic", "points_without_answer", ""] == pytest.approx(silent / points)
    assert found["semantic", "test_events", ""] == 6


def test_objects_are_scored_as_in_training(space: Workspace, shard: Path) -> None:
    model = Model(space.run("eggnet"), "cpu")
    found = values(score_files(model, [shard]))
    tally = TrackingTally()
    for truth, said, _ in both(model, shard, "track"):
        tally.update(truth, said)
    for metric, value in tally.values().items():
        assert found["track", metric, ""] == pytest.approx(value, nan_ok=True)
    assert found["track", "true_tracks", ""] == tally.counts.true
    assert {metric for _, metric, _ in found} >= {"panoptic_quality", "fake_rate", "duplicate_rate"}


def test_only_the_events_of_the_split_count_in_a_table(space: Workspace) -> None:
    model, table = Model(space.run("sparse_unet"), "cpu"), events_of(space, "sparse_unet")
    splits = pd.read_parquet(table, columns=["split"])["split"].value_counts()
    for split in ("train", "test"):
        found = values(score_files(model, [table], split))
        counted = found["semantic", "test_events", ""] / (1 - found["semantic", "events_rejected", ""])
        assert round(counted) == splits[split]
    with pytest.raises(DataError, match="no event of the split 'other' carries labels semantic"):
        score_files(model, [table], "other")


def test_a_backbone_has_nothing_to_score(space: Workspace, shard: Path) -> None:
    with pytest.raises(CheckpointError, match="predicts no label"):
        score_files(Model(space.run("fm4npp"), "cpu"), [shard])


def test_scores_of_published_weights_stand_in_the_ledger(space: Workspace, voxels: Path, tmp_path: Path) -> None:
    def run(*more: str) -> pd.DataFrame:
        call = [
            str(space.run("semantic-head")),
            str(voxels),
            "--released",
            "--as",
            "polar_mae/full",
            "--results",
            str(tmp_path),
        ]
        result = CliRunner().invoke(_app(), [*call, "--labels", "10000", "--device", "cpu", *more])
        assert result.exit_code == 0, result.output
        assert "macro" in result.output or "f1" in result.output
        return make_ledger(Results(None, read_scored(Workspace(tmp_path)))).set_index(["place", "row", "column"])

    frame = run()
    key = ("Table 7, 10,000 labelled events", "PoLAr-MAE, fine-tuned", "precision")
    metrics = read_metrics([Workspace(tmp_path).scored("semantic-head") / "metrics.parquet"])
    own = metrics[(metrics["metric"] == "precision") & (metrics["class"] == "")]["value"].item()
    assert frame.loc[key, "ours"] == own
    assert frame.loc[key, "status"] == ELSEWHERE  # events of one's own
    frame = run("--scale", "paper")
    assert frame.loc[key, "status"] == DIFFERS
    assert (
        frame.loc[("Sec. 5, 100 labelled events", "PoLAr-MAE", "precision track"), "ours"] != own
    )  # other labels, other weights
    assert set(frame[frame["scale"] == "paper"].index.get_level_values("place")) == {key[0]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--released"], "--released needs --as"),
        (["--released", "--as", "polar_mae"], "--as 'polar_mae': the ledger knows"),
        (["--scale", "study"], "--scale 'study': allowed are own and paper"),
        (["--labels", "many"], "--labels 'many'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(words: list[str], said: str) -> None:
    result = CliRunner().invoke(_app(), ["nowhere", "nothing.h5", *words])
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def _app() -> Any:
    import typer

    app = typer.Typer()
    app.command()(verb.command)
    return app
