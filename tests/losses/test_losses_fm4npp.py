"""FM4NPP losses against plain loops: next neighbours with masked slots, wrap and floors; matching of tracks."""

import itertools

import numpy as np
import pytest
import torch

from tpcfm.losses.next_neighbours import (
    DifficultyWeights,
    NextNeighbours,
    event_difficulty,
    naive_floors,
    targets_in_view,
)
from tpcfm.losses.point_classes import PointClasses
from tpcfm.losses.set_matching import SetMatching, event_terms, focal_terms, instances, matching
from tpcfm.nn.queries import TrackSet
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.train import StepInfo

INFO = StepInfo(0, 0, 0, True)


class Fixed(torch.nn.Module):
    """Answers with a given tensor."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, *_):
        return self.answer


def batch(lengths=(6, 1, 4), k=3, seed=0):
    rng = np.random.default_rng(seed)
    n, offsets = sum(lengths), np.concatenate([[0], np.cumsum(lengths)])
    neighbour = np.full((n, k), -1)
    for start, stop in itertools.pairwise(offsets):
        for i in range(start, stop):
            found = rng.permutation(np.arange(i + 1, stop))[:k]
            neighbour[i, : len(found)] = found
    return {"features": rng.random((n, 4), dtype=np.float32), "offsets": offsets, "neighbour": neighbour}


def tensors(b):
    return {name: torch.from_numpy(values) for name, values in b.items()}


@pytest.mark.parametrize("average", ["events", "points"])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("objective", ["next_neighbours", "next_token"])
def test_loss_is_the_mean_over_events_of_their_means_or_over_all_targets(wrap, objective, average):
    b, k = batch(), 2
    targets = TargetConfig(k=k, wrap=wrap, objective=objective, average=average)
    slots = k if objective == "next_neighbours" else 1
    answer = torch.randn(11, slots, 3)
    own, errors, values = [[], [], []], [[], [], []], [[], [], []]
    for i in range(11):
        last = i + 1 in b["offsets"]
        event = int(np.searchsorted(b["offsets"], i, side="right")) - 1
        rows = b["neighbour"][i, :k] if objective == "next_neighbours" else [-1 if last else i + 1]
        for slot, row in enumerate(rows):
            if row >= 0:
                target, here = b["features"][row, 1:].astype(float), b["features"][i, 1:]
                if wrap:
                    target[1] = min((target[1] + turn for turn in (-1, 0, 1)), key=lambda v: abs(v - here[1]))
                errors[event].append(((answer[i, slot].numpy() - target) ** 2).sum())
                own[event].append(((here - target) ** 2).sum())
                values[event].append(target)

    def mean(parts):  # the event of one point has no targets
        parts = [np.array(part) for part in parts if len(part)]
        return np.mean([p.mean(0) for p in parts], 0) if average == "events" else np.concatenate(parts).mean(0)

    loss = NextNeighbours(targets)
    count = loss.counts(b, INFO)["squared_distance"]
    total = loss.sums(Fixed(answer), tensors(b), INFO)["squared_distance"]
    assert count == (2 if average == "events" else sum(map(len, errors)))
    assert float(total) / count == pytest.approx(mean(errors), rel=1e-5)
    floors = naive_floors([b], targets)
    assert floors["floor_own_position"] == pytest.approx(mean(own), rel=1e-5)
    centre = mean(values)
    spread = mean([[((v - centre) ** 2).sum() for v in part] for part in values])
    assert floors["floor_mean"] == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize("rescale", [None, DifficultyWeights((0.3,), (0.5, 2.0))])
def test_two_events_of_unequal_length_weigh_the_same_however_the_batch_is_cut(rescale):
    """One step on both, or on a micro-batch each: the same loss and gradient; the short event counts as much as the long one."""
    lengths, targets = (40, 3), TargetConfig(k=2)
    whole = batch(lengths, k=2)
    parts = [
        {
            **whole,
            "neighbour": whole["neighbour"][:40],
            "features": whole["features"][:40],
            "offsets": np.array([0, 40]),
        }
    ]
    short = whole["neighbour"][40:]
    parts += [
        {
            **whole,
            "neighbour": np.where(short >= 0, short - 40, -1),
            "features": whole["features"][40:],
            "offsets": np.array([0, 3]),
        }
    ]
    loss, found = NextNeighbours(targets, rescale), []
    for batches in ([whole], parts):
        shift = torch.zeros(3, requires_grad=True)
        count = sum(loss.counts(b, INFO)["squared_distance"] for b in batches)
        for b in batches:
            total = loss.sums(Fixed(shift.expand(len(b["features"]), 2, 3)), tensors(b), INFO)["squared_distance"]
            (total / count).backward()
        found.append(shift.grad)
    torch.testing.assert_close(found[0], found[1])
    weights = (
        [1.0, 1.0] if rescale is None else rescale.of(np.concatenate([event_difficulty(b, targets) for b in parts]))
    )
    means = [b["features"][b["neighbour"][b["neighbour"] >= 0], 1:].mean(0) for b in parts]
    expected = sum(-2 * w * m for w, m in zip(weights, means, strict=True)) / 2
    torch.testing.assert_close(found[0], torch.from_numpy(expected).float())


def test_missing_slots_get_no_gradient():
    b = batch()
    answer = torch.randn(11, 3, 3, requires_grad=True)
    NextNeighbours(TargetConfig(k=3)).sums(Fixed(answer), tensors(b), INFO)["squared_distance"].backward()
    assert torch.equal(answer.grad.abs().sum(-1) > 0, torch.from_numpy(b["neighbour"] >= 0))


@pytest.mark.parametrize("inverse", [False, True])
def test_difficulty_weights_follow_the_bins_and_average_to_one(inverse):
    difficulty = np.random.default_rng(0).gamma(2.0, 0.01, 1000)
    weights = DifficultyWeights.fit(difficulty, inverse)
    found = weights.of(difficulty)
    assert found.mean() == pytest.approx(1.0, abs=1e-5)
    order = np.argsort(difficulty)
    assert (np.diff(found[order]) * (-1 if inverse else 1) >= 0).all()
    assert weights.of(np.array([np.nan])).tolist() == [1.0]
    targets = TargetConfig(k=3)
    b = batch()
    event = event_difficulty(b, targets)
    assert np.isnan(event[1])  # one point has no target
    answer = torch.randn(11, 3, 3)
    plain, rescaled = NextNeighbours(targets), NextNeighbours(targets, DifficultyWeights((), (3.0,)))
    triple = rescaled.sums(Fixed(answer), tensors(b), INFO)["squared_distance"]
    once = plain.sums(Fixed(answer), tensors(b), INFO)["squared_distance"]
    assert float(triple) == pytest.approx(3 * float(once), rel=1e-5)
    validation = rescaled.sums(Fixed(answer), tensors(b), StepInfo(0, 0, 0, False))["squared_distance"]
    assert float(validation) == pytest.approx(float(once), rel=1e-6)  # never weighted


def test_values_that_are_not_finite_reach_the_loss_and_break_no_matching():
    """So that training stops with the step, and not with the matching."""
    targets = instances(torch.tensor([0, 0, 1, 1, -1]))
    for value in (float("nan"), float("inf")):
        masks, classes = torch.randn(4, 5), torch.randn(4, 2)
        masks[1, 2] = value
        classes[0, 0] = value
        terms = event_terms(classes, masks, targets)
        assert not torch.isfinite(sum(terms.values()))


def test_matching_is_the_cheapest_of_all_assignments():
    torch.manual_seed(0)
    classes, masks = torch.randn(5, 2), torch.randn(5, 12)
    targets = instances(torch.arange(12) % 3)
    rows, columns = matching(classes, masks, targets)

    def cost(q, m):
        p, t = masks[q].sigmoid(), targets[m]
        focal = -(0.25 * (1 - p) ** 2 * t * p.log() + 0.75 * p**2 * (1 - t) * (1 - p).log()).mean()
        dice = 1 - 2 * (p * t).sum() / (p.sum() + t.sum())
        return float(-0.5 * classes[q].softmax(0)[1] + dice + 30 * focal)

    best = min(sum(cost(q, m) for m, q in enumerate(chosen)) for chosen in itertools.permutations(range(5), 3))
    assert sum(cost(q, m) for q, m in zip(rows, columns, strict=True)) == pytest.approx(best, rel=1e-4)


def test_terms_of_a_perfect_set_vanish_and_more_tracks_than_queries_are_allowed():
    track = torch.tensor([4, 4, 9, 9, 9, -1])
    targets = instances(track)
    assert targets.shape == (2, 6)
    sure = torch.tensor([[-20.0, 20.0], [20.0, -20.0], [-20.0, 20.0]])
    masks = torch.full((3, 6), -20.0)
    masks[0, track == 9], masks[2, track == 4] = 20.0, 20.0
    assert all(float(value) < 1e-4 for value in event_terms(sure, masks, targets).values())
    many = instances(torch.arange(6))
    assert all(torch.isfinite(value) for value in event_terms(sure, masks, many).values())


def test_focal_terms_are_the_written_formula():
    x = torch.linspace(-6, 6, 13, dtype=torch.float64)
    p = x.sigmoid()
    hit, miss = focal_terms(x)
    torch.testing.assert_close(hit, -0.25 * (1 - p) ** 2 * p.log())
    torch.testing.assert_close(miss, -0.75 * p**2 * (1 - p).log())


def test_set_loss_sums_over_sets_and_counts_events():
    torch.manual_seed(0)
    lengths = [5, 7]
    one = TrackSet(torch.randn(2, 4, 2), [torch.randn(4, n) for n in lengths])
    b = {
        "branches": np.zeros((1, 12, 1)),
        "offsets": np.array([0, 5, 12]),
        "track": np.array([0] * 3 + [1] * 4 + [2] * 5),
    }
    loss = SetMatching("branches", "track")
    assert loss.counts(b, INFO) == {"class": 2.0, "dice": 2.0, "focal": 2.0}
    single = loss.sums(Fixed([one]), tensors(b), INFO)
    double = loss.sums(Fixed([one, one]), tensors(b), INFO)
    assert all(float(double[name]) == pytest.approx(2 * float(single[name])) for name in loss.weights)


def test_point_classes_leave_out_unlabelled_points():
    logits = torch.randn(4, 5)
    b = {"features": np.zeros((4, 4)), "offsets": np.array([0, 4]), "pid": np.array([0, -1, 3, 4])}
    loss = PointClasses("features", {"pid": 1.0})
    keep = torch.tensor([0, 2, 3])
    expected = torch.nn.functional.cross_entropy(logits[keep], torch.tensor([0, 3, 4]), reduction="sum")
    assert loss.counts(b, INFO) == {"pid": 3.0}
    torch.testing.assert_close(loss.sums(Fixed({"pid": logits}), tensors(b), INFO)["pid"], expected)


def test_targets_in_view_are_those_before_the_point_or_all_of_them():
    b = batch()
    b["neighbour"][5, :2], b["neighbour"][3, 0] = (1, 4), 3  # two earlier points, and one that is the point itself
    count = (b["neighbour"] >= 0).sum()
    neighbours = TargetConfig(k=3)
    assert targets_in_view([b], neighbours, causal=True) == pytest.approx(2 / count)
    assert targets_in_view([b], neighbours, causal=False) == 1
    assert targets_in_view([b], TargetConfig(objective="next_token"), causal=True) == 0
