"""Two processes train like one: same loss, same weights to a stated tolerance, same data order after any resume."""

import os
import socket
from pathlib import Path

import pytest
import torch
from torch import nn

from tpcfm.errors import Interrupted
from tpcfm.nn.norms import PackedBatchNorm
from train_toys import ToyObjective, same_bits, toy_config, toy_fit, toy_model

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ranks")]  # they share one pair of processes
TOLERANCE = 2e-5
"""Single precision: two ranks add the same terms in another order."""


SCENARIOS = {
    "plain": {},
    "stopped": {"stop": 3},
    "batch_norm": {"config": {"max_points": 10**6}, "batch_norm": nn.BatchNorm1d},
    "packed_norm": {"config": {"max_points": 10**6}, "batch_norm": PackedBatchNorm},
    "one_event": {"config": {"batch_size": 1}},
}


def batch_norm_model(kind=nn.BatchNorm1d):
    model = toy_model(dropout=0)
    # No bias before the normalisation: its gradient is zero but for rounding, which Adam would blow up.
    model[0] = nn.Linear(4, 16, bias=False)
    model[1] = kind(16)
    return model


class Seen(ToyObjective):
    """Notes which events each step used, on this rank."""

    def __init__(self):
        self.seen = {}

    def counts(self, batch, info):
        self.seen.setdefault(info.step, []).extend(int(k) for k in batch["event_key"])
        return super().counts(batch, info)


def work(rank, world, port, folder):
    """One rank: train every scenario, and write what it saw."""
    import tpcfm.train.signals as signals

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    never = signals.StopRequest.reason
    for name, options in SCENARIOS.items():
        torch.manual_seed(0)
        model = batch_norm_model(options["batch_norm"]) if "batch_norm" in options else toy_model(dropout=0)
        if rank:  # rank 0's weights must win
            nn.init.constant_(model[4].weight, 7.0)
        left = iter([None] * options.get("stop", 0))
        # Only the last rank is asked to stop.
        stopping = "stop" in options and rank == world - 1
        signals.StopRequest.reason = (lambda self, needed, left=left: next(left, "test limit")) if stopping else never
        out, objective = {}, Seen()
        try:
            config = toy_config(**options.get("config", {}))
            model, result = toy_fit(Path(folder) / name, config, model=model, objective=objective)
            out["history"] = [row["loss"] for row in result.history]
        except Interrupted as error:
            out["interrupted"] = error.exit_code
        torch.save({**out, "seen": objective.seen, "model": model.state_dict()}, f"{folder}/{name}-{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two ranks did in each scenario, and the folder of their states."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(work, (2, port, str(folder)), nprocs=2)
    out = {
        name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(2)] for name in SCENARIOS
    }
    return {**out, "folder": folder}


def equal(left, right, tolerance):
    return all(torch.allclose(left[k].double(), right[k].double(), rtol=tolerance, atol=tolerance) for k in right)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    torch.set_num_threads(1)
    objective = Seen()
    model, result = toy_fit(
        tmp_path_factory.mktemp("one"), toy_config(), model=toy_model(dropout=0), objective=objective
    )
    return model.state_dict(), [row["loss"] for row in result.history], objective.seen


def test_two_ranks_equal_one_process(ranks, single):
    weights, losses, seen = single
    pair = ranks["plain"]
    assert pair[0]["history"] == pytest.approx(losses, rel=TOLERANCE)
    assert pair[1]["history"] == pair[0]["history"]
    assert equal(pair[0]["model"], weights, TOLERANCE)
    assert all(torch.equal(pair[0]["model"][k], pair[1]["model"][k]) for k in weights)
    for step, events in seen.items():
        assert sorted(pair[0]["seen"][step] + pair[1]["seen"][step]) == sorted(events)


def test_a_resume_with_another_number_of_ranks_keeps_the_data_order(ranks, single):
    weights, losses, seen = single
    first = ranks["stopped"]
    assert [rank["interrupted"] for rank in first] == [75, 75]  # both, though one was asked
    objective = Seen()
    model = toy_model(seed=9, dropout=0)
    model, result = toy_fit(ranks["folder"] / "stopped", toy_config(), model=model, objective=objective)
    for step in range(3):
        assert sorted(first[0]["seen"][step] + first[1]["seen"][step]) == sorted(seen[step])
    for step in range(3, 6):
        assert sorted(objective.seen[step]) == sorted(seen[step])
    assert [row["loss"] for row in result.history] == pytest.approx(losses, rel=TOLERANCE)
    assert equal(model.state_dict(), weights, TOLERANCE)


@pytest.mark.parametrize("name", ["batch_norm", "packed_norm"])
def test_batch_statistics_are_shared(ranks, tmp_path, name):
    """One micro-batch per rank: the ranks' batch normalisation sees the global batch, as one process does."""
    torch.manual_seed(0)
    model, result = toy_fit(
        tmp_path, toy_config(max_points=10**6), model=batch_norm_model(SCENARIOS[name]["batch_norm"])
    )
    pair = ranks[name]
    assert pair[0]["history"] == pytest.approx([row["loss"] for row in result.history], rel=TOLERANCE)
    assert equal(pair[0]["model"], model.state_dict(), TOLERANCE)
    assert not torch.equal(pair[0]["model"]["1.running_mean"], torch.zeros(16))


def test_a_rank_without_events_takes_part(ranks, tmp_path):
    model, _ = toy_fit(tmp_path, toy_config(batch_size=1), model=toy_model(dropout=0))
    assert equal(ranks["one_event"][1]["model"], model.state_dict(), TOLERANCE)
    assert not same_bits(model, toy_model(dropout=0))


def test_frozen_batch_statistics_with_accumulation(tmp_path):
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].eval()
            return self

    torch.manual_seed(0)
    models = [Frozen(*batch_norm_model()) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    toy_fit(tmp_path / "a", toy_config(max_points=40), model=models[0])
    toy_fit(tmp_path / "b", toy_config(max_points=10**6), model=models[1])
    assert equal(models[0].state_dict(), models[1].state_dict(), TOLERANCE)
    assert torch.equal(models[0][1].running_mean, torch.zeros(16))
