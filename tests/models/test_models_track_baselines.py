"""Track-finding comparison networks: sizes of the papers, graphs and losses against brute force, order of the points, GPU path."""

import itertools

import numpy as np
import pytest
import torch

from event_tables import SPHENIX
from fm4npp_toys import toy_event
from tpcfm.config.training import TrainConfig
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.losses.metric_learning import contrastive, hinge_embedding
from tpcfm.losses.track_embedding import EdgeLoss, EggNetLoss, EmbeddingLoss, HeptLoss
from tpcfm.models.baselines.eggnet import EggNet
from tpcfm.models.baselines.embedding_graph import all_pairs, nearest, on_edges, perceptron
from tpcfm.models.baselines.exatrkx import STAGES, ExaTrkx
from tpcfm.models.baselines.hept import Hept
from tpcfm.models.baselines.parameters import parameter_table
from tpcfm.models.baselines.rows import RowNumbers
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.report.names import BASELINES
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackSystem, track_inputs
from tpcfm.train import StepInfo

SMALL = {
    "eggnet": {"width": 16, "iterations": 2, "passings": 2, "embedding": 8, "eps": [1.0, 0.5]},
    "exatrkx": {"embedding_width": 48, "embedding_layers": 2, "embedding": 8, "filter_width": 32, "filter_layers": 2, "width": 32, "passings": 3},
    "hept": {"width": 12, "heads": 2, "layers": 2, "block": 50, "output_width": 32, "output_layers": 2, "regions": 9,
             "min_cluster": [8], "min_samples": [8, 4]},
}  # fmt: skip


def toy_batch(model: str, events: int = 3, tracks: int = 5, seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    parts = [toy_event(rng, tracks) for _ in range(events)]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    offsets = np.cumsum([0, *(len(part["x"]) for part in parts)])
    xyz = np.stack([joined[axis] for axis in "xyz"], axis=1).astype(np.float32)
    energy = ((joined["energy"] - 253) / 268).astype(np.float32)
    batch = {"offsets": offsets, "xyz": xyz, "energy": energy, "track": joined["track"]}
    return {**batch, "track_inputs": track_inputs(model, SPHENIX, energy, xyz, offsets)}


def tensors(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def make(model: str) -> tuple[TrackBaselineConfig, TrackSystem]:
    torch.manual_seed(0)
    train = TrainConfig(steps=1, batch_size=1)
    block = TrackBaselineConfig.model_validate(
        {"model": model, "label": "track", "n_labels": 3, "train": train, model: SMALL[model]}
    )
    return block, TrackSystem(block, SPHENIX)


def fit(part: torch.nn.Module, objective: object, batch: dict[str, np.ndarray], steps: int) -> float:
    optimizer = torch.optim.Adam(part.parameters(), lr=3e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        counts, sums = objective.counts(batch, None), objective.sums(part, tensors(batch), None)
        loss = sum(objective.weights[name] * sums[name] / counts[name] for name in sums)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize(
    ("network", "published"), [(EggNet(EggNetConfig()), 0.16e6), (ExaTrkx(ExaTrkxConfig()), 3.86e6), (Hept(HeptConfig()), 0.31e6)]
)  # fmt: skip
def test_sizes_are_those_of_the_paper(network: torch.nn.Module, published: float) -> None:
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(published, rel=0.05)


def test_the_table_of_counts_is_within_five_per_cent_of_the_paper() -> None:
    rows = {row["part"].split(" (")[0].split(",")[0]: row for row in parameter_table()}
    not_of_fm4npp = {"Kalman filter", "sparse U-Net", "perceptron on pairs", "DBSCAN", "boosted trees"}
    assert set(rows) == set(BASELINES.values()) - not_of_fm4npp
    published = [row for row in rows.values() if row["published"]]
    assert len(published) == 6
    for row in published:
        assert row["ours"] == pytest.approx(row["published"], rel=0.05), row["part"]


@pytest.mark.parametrize(
    ("model", "steps", "ari"), [("eggnet", 80, 0.99), ("hept", 120, 0.99), pytest.param("exatrkx", 200, 0.99, marks=pytest.mark.slow)]
)  # fmt: skip
def test_each_overfits_a_few_events(model: str, steps: int, ari: float) -> None:
    block, system = make(model)
    batch = toy_batch(model, events=2, tracks=4)
    if block.exatrkx:
        for stage in STAGES:
            embedding = EmbeddingLoss(block.exatrkx.margin, block.exatrkx.hard_negatives, "track")
            objective = embedding if stage == "embedding" else EdgeLoss(system.network, stage, "track")
            fit(getattr(system.network, stage), objective, batch, steps)
    elif block.eggnet:
        fit(system.network, EggNetLoss(block.eggnet.margin, block.eggnet.hard_negatives, "track"), batch, steps)
    else:
        hept = block.hept
        fit(system.network, HeptLoss(hept.negatives, hept.temperature, hept.sigma, "track"), batch, steps)
    with torch.no_grad():
        answer = system.network(tensors(batch))
    reached = []
    for choice in system.choices:
        tally = TrackingTally()
        found = np.concatenate([system.cluster(event, choice) for event in system.split(batch, answer)])
        tally.update(batch["track"], found, batch["offsets"])
        reached.append(tally.values()["ari"])
    assert max(reached) > ari


def test_a_part_of_the_edges_trains_the_filter_and_all_do_in_turn() -> None:
    torch.manual_seed(0)
    network = ExaTrkx(ExaTrkxConfig(**SMALL["exatrkx"], filter_edges=2))
    objective, batch = EdgeLoss(network, "filter", "track"), toy_batch("exatrkx", events=2)
    edges = network.near_pairs(tensors(batch))
    points = len(batch["track"])
    assert edges.shape[1] > 4 * points
    stride = -(-edges.shape[1] // (2 * points))
    parts = [objective._part(edges, points, epoch) for epoch in range(stride)]
    assert all(part.shape[1] <= 2 * points for part in parts)
    pairs = [tuple(pair) for part in parts for pair in part.T.tolist()]
    assert sorted(pairs) == sorted(map(tuple, edges.T.tolist()))
    full = objective.sums(network.filter, tensors(batch), StepInfo(0, 0, 0, training=False))["edges"]
    part = objective.sums(network.filter, tensors(batch), StepInfo(0, 0, 0, training=True))["edges"]
    assert torch.isfinite(part)
    assert part != full


def test_the_filter_reads_the_embeddings_and_leaves_them_as_they_are() -> None:
    network, batch = ExaTrkx(ExaTrkxConfig(**SMALL["exatrkx"])), tensors(toy_batch("exatrkx"))
    edges = network.near_pairs(batch)
    before = network.filter_logits(batch, edges)
    before.sum().backward()
    assert all(p.grad is None for p in network.embedding.parameters())
    assert all(p.grad is not None for p in network.filter.parameters())
    with torch.no_grad():
        network.embedding[-1].weight.mul_(2)
    assert not torch.equal(network.filter_logits(batch, edges), before)


def test_inputs_of_eggnet_hold_the_neighbours_in_its_own_coordinates() -> None:
    batch = toy_batch("eggnet", events=1)
    place = batch["track_inputs"][:, :4].astype(np.float64)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2) + np.diag(np.full(len(place), np.inf))
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :2]
    np.testing.assert_allclose(batch["track_inputs"][:, 4:], place[nearest].reshape(len(place), 8))


def test_a_weak_filter_lets_most_true_edges_pass_and_a_good_one_keeps_its_threshold() -> None:
    torch.manual_seed(0)
    network, batch = ExaTrkx(ExaTrkxConfig(**SMALL["exatrkx"])), tensors(toy_batch("exatrkx"))
    with torch.no_grad():
        last = network.filter[-1]
        last.weight.mul_(0.1)
        last.bias.fill_(-0.5)  # all scores near 0.38: below the published threshold
        edges = network.near_pairs(batch)
        assert network.graph(batch).shape[1] == 0
        true = batch["track"][edges[0]] == batch["track"][edges[1]]
        scores = network.filter_logits(batch, edges).sigmoid()
        network.let_pass(scores[true])
        passed = network.graph(batch)
    found = (batch["track"][passed[0]] == batch["track"][passed[1]]).sum() / true.sum()
    assert 0.8 <= found < 0.82
    assert "filter_threshold" in network.state_dict()
    network.let_pass(torch.linspace(0.7, 0.99, 50))
    assert float(network.filter_threshold) == pytest.approx(0.675)
    network.let_pass(torch.empty(0))
    assert float(network.filter_threshold) == pytest.approx(0.675)


@pytest.mark.parametrize("model", ["eggnet", "hept", "exatrkx"])
def test_the_order_of_the_points_does_not_matter(model: str) -> None:
    _, system = make(model)
    if model == "exatrkx":
        system.network.filter_threshold.fill_(0.4)  # an untrained filter lets nothing pass the published one
    kind = np.float32 if model == "hept" else np.float64  # hashed attention computes in float32 whatever comes in
    system.network.to(torch.float32 if model == "hept" else torch.float64)
    batch = toy_batch(model, events=2)
    rng = np.random.default_rng(1)
    offsets = batch["offsets"]
    order = np.concatenate([a + rng.permutation(b - a) for a, b in itertools.pairwise(offsets.tolist())])
    turned = {name: values if name == "offsets" else values[order] for name, values in batch.items()}
    turned["track_inputs"] = track_inputs(model, SPHENIX, turned["energy"], turned["xyz"], offsets)
    np.testing.assert_array_equal(turned["track_inputs"], batch["track_inputs"][order])
    for part in (batch, turned):
        part["track_inputs"] = part["track_inputs"].astype(kind)
    with torch.no_grad():
        plain, other = system.network(tensors(batch)), system.network(tensors(turned))
    if model == "exatrkx":
        scores = [
            {(min(a, b), max(a, b)): s for a, b, s in zip(*rows(edges[0].numpy(), edges[1].numpy()), edges_scores.numpy())}
            for (edges, edges_scores), rows in [
                (plain, lambda a, b: (a, b)),
                (other, lambda a, b: (order[a], order[b])),
            ]
        ]  # fmt: skip
        assert scores[0].keys() == scores[1].keys()
        assert scores[0]
        assert all(abs(scores[0][pair] - scores[1][pair]) < 1e-5 for pair in scores[0])
    else:
        np.testing.assert_allclose(other.numpy(), plain.numpy()[order], atol=1e-5)


@pytest.mark.parametrize("model", ["eggnet", "hept", "exatrkx"])
def test_events_of_a_batch_do_not_see_each_other(model: str) -> None:
    _, system = make(model)
    if model == "exatrkx":
        system.network.filter_threshold.fill_(0.4)
    batch = toy_batch(model, events=2)
    cut = batch["offsets"][1]
    alone = {name: values[:cut] for name, values in batch.items()} | {"offsets": batch["offsets"][:2]}
    with torch.no_grad():
        both, one = system.network(tensors(batch)), system.network(tensors(alone))
    if model == "exatrkx":
        mine = both[0][0] < cut
        assert (both[0][1][~mine] >= cut).all()
        np.testing.assert_array_equal(both[0][:, mine].numpy(), one[0].numpy())
        np.testing.assert_allclose(both[1][mine].numpy(), one[1].numpy(), atol=1e-5)
    else:
        np.testing.assert_allclose(both[:cut].numpy(), one.numpy(), atol=1e-4)


def test_both_graph_builders_agree() -> None:
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(90, 6)))
    offsets = torch.tensor([0, 40, 41, 90])
    for limit in (float("inf"), 2.0):
        pairs = [set(map(tuple, build(points, offsets, 7, limit).T.tolist())) for build in (nearest, all_pairs)]
        assert pairs[0] == pairs[1]


def test_rows_are_taken_and_summed_with_right_gradients() -> None:
    rows = RowNumbers(torch.tensor([2, 0, 2, 3]), 5)
    assert rows.sum(torch.tensor([[1.0], [2.0], [4.0], [8.0]])).tolist() == [[2.0], [0.0], [5.0], [8.0], [0.0]]
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(rows.take(table), table[rows.numbers])
    assert torch.autograd.gradcheck(rows.take, (table,))
    assert torch.autograd.gradcheck(rows.sum, (torch.randn(4, 3, dtype=torch.float64, requires_grad=True),))
    assert RowNumbers(torch.zeros(0, dtype=torch.int64), 2).sum(torch.zeros(0, 3)).tolist() == [[0.0] * 3] * 2


def test_perceptrons_on_edges_see_both_ends_side_by_side() -> None:
    torch.manual_seed(0)
    nodes, edge, ends = torch.randn(4, 3), torch.randn(5, 2), torch.randint(4, (2, 5))
    numbers = tuple(RowNumbers(end, 4) for end in ends)
    network = perceptron(8, 6, 2, 1)
    joined = torch.cat([nodes[ends[0]], nodes[ends[1]], edge], dim=1)
    torch.testing.assert_close(on_edges(network, nodes, numbers, edge), network(joined))
    network = perceptron(6, 6, 2, 1)
    torch.testing.assert_close(on_edges(network, nodes, numbers), network(joined[:, :6]))


def test_hinge_against_loops() -> None:
    rng = np.random.default_rng(0)
    points, track, offsets = (
        rng.normal(size=(14, 3)),
        np.array([0, 0, 1, 1, -1, -1, 2, 0, 0, 0, 1, 1, 2, 2]),
        [0, 7, 14],
    )
    pull = push = 0.0
    for start, stop in ((0, 7), (7, 14)):
        for i in range(start, stop):
            near = [
                np.linalg.norm(points[i] - points[j])
                for j in range(start, stop)
                if j != i and track[j] == track[i] >= 0
            ]
            far = sorted(
                np.linalg.norm(points[i] - points[j])
                for j in range(start, stop) if j != i and (track[j] != track[i] or track[i] < 0)
            )  # fmt: skip
            hinge = [max(0.0, 1.5 - d) for d in far]
            pull += np.mean(near) if near else 0
            push += np.mean(hinge) + np.mean(hinge[:2])
    found = hinge_embedding(
        torch.from_numpy(points), torch.from_numpy(track), torch.tensor(offsets), margin=1.5, hard=2
    )
    assert [float(value) for value in found] == pytest.approx([pull, push], rel=1e-4)


def slope(loss, points: torch.Tensor, step: float = 1e-2) -> torch.Tensor:
    """Return the gradient by central differences."""
    out = torch.zeros_like(points)
    for place in np.ndindex(*points.shape):
        shifted = [points.clone(), points.clone()]
        for sign, copy in zip((1, -1), shifted, strict=True):
            copy[place] += sign * step
        out[place] = (loss(shifted[0]) - loss(shifted[1])) / (2 * step)
    return out


@pytest.mark.parametrize("which", ["pull", "push", "contrastive"])
def test_gradients_of_pair_losses_are_right(which: str) -> None:
    """The gradients are written out by hand; negative labels and an event of one point are among the cases."""
    torch.manual_seed(2)
    points = torch.randn(13, 3)
    track, offsets = torch.tensor([0, 0, 1, 1, 1, -1, -1, 5, 0, 0, 0, 1, 1]), torch.tensor([0, 7, 8, 13])

    def loss(x: torch.Tensor) -> torch.Tensor:
        if which == "contrastive":
            return contrastive(x, track, offsets, negatives=3, temperature=0.3, sigma=0.75)
        return hinge_embedding(x, track, offsets, margin=1.7, hard=2)[which == "push"]

    leaf = points.clone().requires_grad_()
    loss(leaf).backward()
    near = slope(loss, points)
    # A hinge or a change among the nearest within the step makes single components of the difference quotient wrong.
    wrong = (leaf.grad - near).abs() > 2e-2 * near.abs().max()
    assert near.abs().max() > 0.1
    assert wrong.float().mean() < 0.06


def test_contrastive_prefers_tracks_apart_and_is_finite_for_one_track() -> None:
    track, offsets = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 4])
    settings = {"negatives": 2, "temperature": 0.05, "sigma": 0.75}
    apart = contrastive(torch.tensor([[0.0], [0.1], [3.0], [3.1]]), track, offsets, **settings)
    mixed = contrastive(torch.tensor([[0.0], [3.0], [0.1], [3.1]]), track, offsets, **settings)
    assert apart < 1e-3 < mixed
    points = torch.randn(4, 2, requires_grad=True)
    contrastive(points, torch.zeros(4, dtype=torch.int64), offsets, **settings).backward()
    assert torch.isfinite(points.grad).all()
