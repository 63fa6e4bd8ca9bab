"""Comparison networks of point classification: layers equal a dense formulation (and torch_geometric, where it is installed), sizes are
the published ones, points may come in any order, events do not mix, and each network learns a handful of events by heart."""

import sys
from functools import partial
from operator import attrgetter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fm4npp_toys import toy_cache
from tpcfm import backends
from tpcfm.errors import MachineError
from tpcfm.models.baselines import geometric_layers
from tpcfm.models.baselines.geometric_layers import KINDS, NAMES
from tpcfm.models.baselines.graph_layers import LAYERS, Edges
from tpcfm.models.baselines.point_graph_net import PointGraphNet
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.baselines.voxel_unet import VoxelUNet
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.classify_points import make_model
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.train import StepInfo, to_device

MODELS = ("sage", "graph_conv", "gcn", "gat", "voxel_unet")
CLASSES = {"pid": 5, "noise": 2}
INFO = StepInfo(0, 0, 0, training=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("points") / "toy"
    return PreparedStore(toy_cache(folder, splits={"train": 4, "validation": 1, "test": 1}))


def network(name, task="pid"):
    graph = None if name == "voxel_unet" else GraphNetConfig(width=48, layers=3, neighbours=6)
    voxel = VoxelUNetConfig(filters=8, depth=3, width=32, decoder_layers=2, heads=4) if graph is None else None
    train = {"steps": 1, "batch_size": 1}
    torch.manual_seed(3)
    return make_model(PointBaselineConfig(model=name, label=task, classes=CLASSES[task], n_labels=4, graph=graph, voxel=voxel, train=train))


def random_edges(n, most, seed=0):
    """Return edges of a random graph; the first point has none coming in."""
    rng = np.random.default_rng(seed)
    incoming = [[], *(rng.choice(n, size=rng.integers(1, most + 1), replace=False) for _ in range(n - 1))]
    source = torch.tensor(np.concatenate([np.asarray(i, dtype=np.int64) for i in incoming]))
    return Edges(source, torch.tensor(np.cumsum([0, *map(len, incoming)])))


def adjacency(edges, n):
    """Return (N, N): row = target, column = source."""
    dense = torch.zeros(n, n, dtype=torch.float64)
    dense[edges.target, edges.source] = 1
    return dense


def dense_answer(name, layer, x, dense):
    """Return what the papers of the layers define, with full matrices."""
    if name == "sage":
        mean = dense @ x / dense.sum(1).clamp(min=1)[:, None]
        return layer.neighbours(mean) + layer.own(x)
    if name == "graph_conv":
        return layer.neighbours(dense @ x) + layer.own(x)
    dense = dense + torch.eye(len(x), dtype=x.dtype)
    if name == "gcn":
        scale = torch.diag(dense.sum(1) ** -0.5)
        return scale @ dense @ scale @ x @ layer.weight.t() + layer.bias
    h = x @ layer.weight.t()
    logit = F.leaky_relu((h @ layer.target)[:, None] + (h @ layer.source)[None], 0.2)
    return logit.masked_fill(dense == 0, -torch.inf).softmax(1) @ h + layer.bias


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_gradients_equal_the_dense_formulation(name):
    torch.manual_seed(0)
    edges = random_edges(30, 6)
    edges = Edges(torch.where(edges.source == edges.target, (edges.source + 1) % 30, edges.source), edges.bounds)
    pairs = torch.unique(torch.stack([edges.target, edges.source]), dim=1)  # an edge once
    edges = Edges(pairs[1], F.pad(torch.bincount(pairs[0], minlength=30).cumsum(0), (1, 0)))
    layer = LAYERS[name](7, 5).double()
    x = torch.randn(30, 7, dtype=torch.float64, requires_grad=True)
    mark = torch.randn(30, 5, dtype=torch.float64)
    wanted = dense_answer(name, layer, x, adjacency(edges, 30))
    found = layer(x, edges)
    # GAT takes its softmax in float32 (for bfloat16 training), hence the tolerance.
    close = {"rtol": 1e-5, "atol": 1e-6} if name == "gat" else {"rtol": 1e-10, "atol": 1e-12}
    assert torch.allclose(found, wanted, **close)
    variables = [x, *layer.parameters()]
    for a, b in zip(
        torch.autograd.grad((found * mark).sum(), variables), torch.autograd.grad((wanted * mark).sum(), variables)
    ):
        assert torch.allclose(a, b, **({"rtol": 1e-4, "atol": 1e-5} if name == "gat" else close))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_torch_geometric(name):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    edges = random_edges(40, 8, seed=1)
    keep = edges.source != edges.target  # torch_geometric replaces loops of GCN and GAT by its own
    pairs = torch.stack([edges.source, edges.target])[:, keep]
    edges = Edges(pairs[0], F.pad(torch.bincount(pairs[1], minlength=40).cumsum(0), (1, 0)))
    layer = LAYERS[name](6, 8)
    theirs = getattr(geometric, KINDS[name])(6, 8)
    ours = layer.state_dict()
    theirs.load_state_dict({t: ours[o].view_as(theirs.state_dict()[t]) for t, o in NAMES[name].items()})
    x = torch.randn(40, 6)
    assert torch.allclose(layer(x, edges), theirs(x, pairs), rtol=1e-5, atol=1e-6)
    geometric_layers._verify("cpu")
    assert torch.allclose(
        geometric_layers.geometric_layer(name, layer, x, edges), theirs(x, pairs), rtol=1e-6, atol=1e-7
    )


class StandIn(torch.nn.Module):
    """A layer with parameters named as torch_geometric's, which computes by full matrices."""

    def __init__(self, name, inputs, outputs, fault):
        super().__init__()
        self.name, self.fault = name, fault
        shapes = dict(LAYERS[name](inputs, outputs).named_parameters())
        for theirs, ours in NAMES[name].items():
            *path, last = theirs.split(".")
            holder = self
            for part in path:
                if part not in holder._modules:
                    holder.add_module(part, torch.nn.Module())
                holder = holder._modules[part]
            holder.register_parameter(last, torch.nn.Parameter(torch.full_like(shapes[ours], torch.nan)))

    def forward(self, x, pairs):
        dense = torch.zeros(len(x), len(x))
        dense[pairs[1], pairs[0]] = 1
        layer = SimpleNamespace(neighbours=None)
        values = {ours: attrgetter(theirs)(self) for theirs, ours in NAMES[self.name].items()}
        if "neighbours.weight" in values:
            layer.neighbours = lambda rows: F.linear(rows, values["neighbours.weight"], values["neighbours.bias"])
            layer.own = lambda rows: F.linear(rows, values["own.weight"])
        else:
            vars(layer).update(values)
        return self.fault * dense_answer(self.name, layer, x, dense)


@pytest.fixture
def torch_geometric_stand_in(monkeypatch):
    """Put a module in the place of torch_geometric.nn; its outputs are off by the factor given."""
    forget = (geometric_layers._skeleton, geometric_layers._verify)

    def install(fault=1.0):
        module = ModuleType("torch_geometric.nn")
        for name, kind in geometric_layers.KINDS.items():
            setattr(module, kind, partial(StandIn, name, fault=fault))
        monkeypatch.setitem(sys.modules, "torch_geometric", ModuleType("torch_geometric"))
        monkeypatch.setitem(sys.modules, "torch_geometric.nn", module)
        monkeypatch.setattr(backends, "importable", lambda asked: asked == "torch_geometric")

    for cache in forget:
        cache.cache_clear()
    yield install
    for cache in forget:
        cache.cache_clear()
    monkeypatch.undo()
    backends.configure("auto")


@pytest.mark.parametrize("name", LAYERS)
def test_torch_geometric_runs_our_weights_when_it_is_forced(name, torch_geometric_stand_in):
    torch.manual_seed(0)
    edges = random_edges(30, 4)
    keep = edges.source != edges.target
    count = torch.bincount(edges.target[keep], minlength=30)
    edges = {"edge_source": edges.source[keep], "edge_bounds": F.pad(count.cumsum(0), (1, 0))}
    batch = {"point_features": torch.randn(30, 5), **edges}
    net = PointGraphNet(name, "pid", 5, GraphNetConfig(width=16, layers=2))
    plain = net(batch)["pid"]
    torch_geometric_stand_in()
    backends.configure("auto")
    assert torch.equal(net(batch)["pid"], plain)
    assert backends.used()["message_passing/cpu"] == "torch"  # not by itself
    backends.configure("+torch_geometric")
    forced = net(batch)["pid"]
    assert backends.used()["message_passing/cpu"] == "torch_geometric"
    assert torch.allclose(forced, plain, rtol=1e-4, atol=1e-5)
    gradients = torch.autograd.grad(forced.square().sum(), list(net.parameters()))
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradients)


def test_a_torch_geometric_that_computes_otherwise_is_refused(torch_geometric_stand_in):
    torch_geometric_stand_in(fault=1.01)
    backends.configure("+torch_geometric")
    with pytest.raises(MachineError, match="does not reproduce the layer"):
        geometric_layers.message_backend("cpu")


def test_weighted_sums_have_the_right_gradients():
    edges = random_edges(12, 4)
    x = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(len(edges.source), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(edges.sum, (x, weight))
    assert torch.autograd.gradcheck(lambda rows: edges.sum(rows), (x,))


def test_a_graph_without_edges_passes():
    edges = Edges(torch.empty(0, dtype=torch.int64), torch.zeros(5, dtype=torch.int64))
    for kind in LAYERS.values():
        x = torch.randn(4, 3, requires_grad=True)
        out = kind(3, 2)(x, edges)
        out.sum().backward()
        assert out.shape == (4, 2)
        assert x.grad.isfinite().all()


def test_sizes_at_paper_settings():
    def size(model):
        return sum(p.numel() for p in model.parameters())

    graph = {name: size(PointGraphNet(name, "pid", 5, GraphNetConfig())) for name in LAYERS}
    assert graph["sage"] == graph["graph_conv"] == pytest.approx(0.91e6, rel=0.05)
    # One matrix per layer where SAGE has two: six of 256 x 256 fewer (GAT: plus two attention vectors per layer).
    assert graph["gcn"] == graph["sage"] - 6 * 256 * 256
    assert graph["gat"] == graph["gcn"] + 6 * 2 * 256
    assert size(VoxelUNet("pid", 5, VoxelUNetConfig())) == pytest.approx(44.95e6, rel=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_points_may_come_in_any_order_and_events_do_not_mix(name, store, monkeypatch):
    model, collate = network(name)
    model.eval()
    rows = np.array([0, 1])
    batch = collate(store, rows, INFO)
    with torch.no_grad():
        together = model(to_device(batch, "cpu"))["pid"]
        alone = [model(to_device(collate(store, rows[i : i + 1], INFO), "cpu"))["pid"] for i in range(2)]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-4, atol=1e-5)

    # The same events with the points of each in another order.
    import tpcfm.systems.baselines.point_batches as room

    plain = room.collate_sequences
    rng = np.random.default_rng(0)
    within = {int(k): rng.permutation(n) for k, n in zip(batch["event_key"], np.diff(batch["offsets"]), strict=True)}

    def order_of(found):
        return np.concatenate([a + within[int(k)] for a, k in zip(found["offsets"], found["event_key"])])

    def shuffled(*arguments):
        found = plain(*arguments)
        order = order_of(found)
        return {k: v if k in ("offsets", "event_key") else v[order] for k, v in found.items()}

    monkeypatch.setattr(room, "collate_sequences", shuffled)
    _, anew = network(name)  # the other keeps the graphs it has made
    with torch.no_grad():
        moved = model(to_device(anew(store, rows, INFO), "cpu"))["pid"]
    assert torch.allclose(moved, together[order_of(batch)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_learns_a_handful_of_events_by_heart(name, store):
    model, collate = network(name)
    batch = to_device(collate(store, np.array([0, 1, 2]), INFO), "cpu")
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    labels, accuracy = batch["pid"], 0.0
    for _ in range(400):
        answers = model.train()(batch)["pid"]
        answers = answers if answers.dim() == 3 else answers[None]
        optimizer.zero_grad()
        F.cross_entropy(answers.flatten(0, 1), labels.repeat(len(answers))).backward()
        optimizer.step()
        accuracy = (answers[-1].argmax(1) == labels).float().mean().item()
        if accuracy > 0.97:
            break
    assert accuracy > 0.97


@pytest.mark.parametrize("name", MODELS)
def test_runs_in_bfloat16(name, store):
    model, collate = network(name, "noise")
    batch = to_device(collate(store, np.array([0]), INFO), "cpu")
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch)["noise"]
    logits.square().mean().backward()
    assert logits.dtype == torch.float32
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
