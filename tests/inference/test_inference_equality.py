"""The answer for an event is the same alone and in any batch, from a file, from Python and as `tpcfm show` draws it: every network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_zoo import PREDICTORS, events_of
from tpcfm.detectors.model import ClassLabel
from tpcfm.errors import CheckpointError
from tpcfm.events.read import read_events
from tpcfm.inference.answers import Embedding, Prediction
from tpcfm.inference.file_events import open_events
from tpcfm.inference.model import Model
from tpcfm.inference.one_event import open_event
from tpcfm.inference.picture_data import picture_data
from tpcfm.inference.predict import predict_event
from tpcfm.inference.trained import event_features
from tpcfm.prepare.points import read_columns
from tpcfm.systems.architectures import ARCHITECTURES, Choice
from tpcfm.workspace import Workspace

BACKBONES = {"polar_mae": "groups", "point_mae": "groups", "fm4npp": "sequences"}
CLOSE = {"rtol": 2e-4, "atol": 2e-5}  # of scores: sums of matrix products come in another order


def answers(model: Model, table: Path, batch_points: int, workers: int = 0) -> list[Prediction]:
    with open_events(table, model.detector) as source:
        return list(model.predict_events(source.events, batch_points, workers))


def same(found: Prediction, known: Prediction) -> None:
    assert (found.event_id, found.n_points, found.reason) == (known.event_id, known.n_points, known.reason)
    np.testing.assert_array_equal(found.answered, known.answered)
    assert set(found.labels) == set(known.labels)
    for name, values in known.labels.items():
        np.testing.assert_array_equal(found[name], values)
    assert set(found.scores) == set(known.scores)
    for name, scores in known.scores.items():
        np.testing.assert_allclose(found.scores[name], scores, **CLOSE)


@pytest.mark.parametrize("run", [*PREDICTORS, "both-pretrained"])
def test_one_answer_whatever_the_way(space: Workspace, run: str) -> None:
    table = space.cache("sequences-events.parquet") if run == "both-pretrained" else events_of(space, run)
    model = Model(space.run(run), "cpu")
    together = answers(model, table, 10**9)
    assert len(together) > 3
    for found, known in zip(answers(model, table, 1), together, strict=True):
        same(found, known)
    for found, known in zip(answers(model, table, 150, workers=2), together, strict=True):
        same(found, known)
    names = ["x", "y", "z", *(signal.name for signal in model.detector.signal)]
    cuts = [name for name, label in model.detector.classes().items() if label.removed]
    events = list(read_events(table, read_columns(model.detector)))
    given = [{name: event[name] for name in [*names, *cuts] if event[name] is not None} for event in events]
    for number, (found, known) in enumerate(zip(model.predict(given), together, strict=True)):
        assert found.event_id == f"event/{number}"
        same(Prediction(**{**vars(found), "event_id": known.event_id}), known)
    with open_event(table, 2, space.run(run)) as (store, row):
        for label in model.labels:
            shown = predict_event(space.run(run), store, row, label)
            drawn = picture_data(table, 2, [space.run(run)], "prediction", Choice(label=label))["events"][run]
            np.testing.assert_array_equal(drawn["prediction"], shown["prediction"])
            np.testing.assert_array_equal(together[2][label][shown["row"]], shown["prediction"])
            assert together[2].answered.sum() == len(shown["row"])


@pytest.mark.parametrize("run", PREDICTORS)
def test_scores_and_objects_fit_the_labels(space: Workspace, run: str) -> None:
    model = Model(space.run(run), "cpu")
    label = PREDICTORS[run]
    for found in answers(model, events_of(space, run), 10**9):
        score = found.scores.get(label)
        if isinstance(model.detector.labels[label], ClassLabel):
            classes = model.detector.classes()[label].values
            assert score is not None
            assert (score[found.answered] >= 1 / len(classes) - 1e-6).all()
            assert not found.objects
        else:
            table = found.objects[label]
            assert table["object"].tolist() == sorted(set(found[label][found[label] >= 0].tolist()))
            assert table["n_points"].sum() == (found[label] >= 0).sum()
            assert not len(table) or table["score"].isna().all() == (score is None)
        if score is not None:
            assert ((score >= 0) & (score <= 1))[found.answered].all()
            assert np.isnan(score[~found.answered]).all()


@pytest.mark.parametrize(("run", "cache"), BACKBONES.items())
def test_features_are_those_of_the_event_alone(space: Workspace, run: str, cache: str) -> None:
    tables = {"groups": space.cache("groups") / "toy.parquet", "sequences": space.cache("sequences-events.parquet")}
    model = Model(space.run(run), "cpu")
    with open_events(tables[cache], model.detector) as source:
        together = list(model.embed_events(source.events, 10**9))
    with open_event(tables[cache], 3, space.run(run)) as (store, row):
        alone = event_features(space.run(run), store, row)
        rows = store.value(row, "row")
    found = together[3]
    assert isinstance(found, Embedding)
    assert found.event_id == alone.event_id
    np.testing.assert_array_equal(found.xyz, alone.xyz.numpy())
    if run == "fm4npp":
        known = torch.nn.functional.layer_norm(alone.layers.mean(0), alone.layers.shape[-1:])
        np.testing.assert_array_equal(found.point, rows)
    else:
        known = alone.last
        assert found.point is None
    np.testing.assert_allclose(found.features, known.numpy(), rtol=1e-3, atol=1e-5)


def test_every_architecture_predicts_or_embeds_or_says_that_it_does_not(space: Workspace) -> None:
    for kind, about in ARCHITECTURES.items():
        assert {"prediction", "features"} & set(about.pictures) or kind == "token_encoder"
    with pytest.raises(CheckpointError, match="'fm4npp' makes no picture 'prediction'"):
        Model(space.run("fm4npp"), "cpu").predict(np.zeros((3, 4)))
    with pytest.raises(CheckpointError, match="'sparse_unet' makes no picture 'features'"):
        Model(space.run("sparse_unet"), "cpu").embed(np.zeros((3, 4)))
