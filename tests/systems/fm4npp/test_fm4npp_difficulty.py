"""Error by difficulty: groups cover the fixed set, weighted they give the whole error, and they do not depend on the model."""

import numpy as np
import pytest
import torch
from torch import nn

from fm4npp_toys import toy_cache
from tpcfm.losses.next_neighbours import NextNeighbours, event_difficulty
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.adapter_task import label_losses
from tpcfm.systems.fm4npp.difficulty import GROUPS, error_by_difficulty
from tpcfm.train import FitResult, evaluate_objective


class OwnPosition(nn.Module):
    """Predicts the position of the point itself: its error is the difficulty."""

    def forward(self, features, offsets):
        return features[:, None, 1:4].expand(-1, 5, -1)


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    store = PreparedStore(toy_cache(tmp_path_factory.mktemp("difficulty") / "toy", k=5, splits={"train": 10}))
    rows = store.rows("train")
    return [collate_sequences(store, part, 5) for part in (rows[:3], rows[3:])]


def test_the_error_of_the_own_position_is_the_difficulty_of_each_group(batches):
    targets = TargetConfig(k=5)
    found = error_by_difficulty(OwnPosition(), targets, batches, torch.device("cpu"))
    assert list(found) == [str(i + 1) for i in range(GROUPS)]
    values = list(found.values())
    assert values == sorted(values)
    events = np.sort(np.concatenate([event_difficulty(b, targets) for b in batches]))
    assert events[0] <= values[0] <= events[2]
    assert events[-2] <= values[-1] <= events[-1]


def test_one_group_per_event_at_most(batches):
    one = collate_of_first(batches[0])
    assert list(error_by_difficulty(OwnPosition(), TargetConfig(k=5), [one], torch.device("cpu"))) == ["1"]


def collate_of_first(batch):
    end = int(batch["offsets"][1])
    kept = np.where(batch["neighbour"][:end] < end, batch["neighbour"][:end], -1)
    return {"features": batch["features"][:end], "offsets": batch["offsets"][:2], "neighbour": kept}


def test_a_single_group_has_the_error_of_the_evaluation(batches):
    targets, one = TargetConfig(k=5), collate_of_first(batches[1])
    whole = evaluate_objective(OwnPosition(), NextNeighbours(targets), [one], "cpu")["loss"]
    assert error_by_difficulty(OwnPosition(), targets, [one], torch.device("cpu"))["1"] == pytest.approx(
        whole, rel=1e-6
    )


def test_losses_of_tasks_come_from_the_kept_step_unweighted():
    log = [
        {"step": 5, "split": "train", "loss": 9.0, "pid": 9.0, "noise": 9.0},
        {"step": 5, "split": "validation", "loss": 1.0, "pid": 0.7, "noise": 0.3},
        {"step": 10, "split": "validation", "loss": 2.0, "pid": 0.1, "noise": 0.9},
    ]
    result = FitResult(steps=10, best_step=5, best_value=1.0, seconds=1.0, history=log)
    assert label_losses(result, ["pid", "noise"]) == {"pid": 0.7, "noise": 0.3}
    assert label_losses(result, ["track"]) == {}
