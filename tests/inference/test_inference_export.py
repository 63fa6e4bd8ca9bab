"""Exported networks: whatever can be exported answers as `predict` does, for any number of events; what cannot says why."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tpcfm
from model_zoo import PREDICTORS, events_of
from tpcfm.errors import CheckpointError, ConfigError, MachineError
from tpcfm.inference.export import export
from tpcfm.inference.export.export import export_model
from tpcfm.inference.export.exported import ExportedModel
from tpcfm.inference.export.formats import FORMATS
from tpcfm.inference.file_events import open_events
from tpcfm.models.classical.trees import TreeEnsemble
from tpcfm.nn.mamba.ssd import _carry_at_once, carry
from tpcfm.tasks.answers import Answer
from tpcfm.workspace import Workspace

TRACED = ["semantic-head", "semantic-lora", "group-head", "track-pretrained", "pid-pretrained", "pid-lora", "track-none", "noise-none",
          "sage", "graph_conv", "gcn", "gat", "trees"]  # fmt: skip
STOPPED = {"sparse_unet": "torch.unique", "voxel_unet": "torch.unique", "eggnet": "nearest neighbours", "exatrkx": "nearest neighbours",
           "hept": "hashes", "kalman": "no network", "edges": "union of sets", "dbscan": "DBSCAN"}  # fmt: skip
ONNX = all(importlib.util.find_spec(name) for name in FORMATS["onnx"].needs)


def test_every_network_is_in_one_of_the_lists() -> None:
    assert {*PREDICTORS, "trees", "edges", "dbscan"} == {*TRACED, *STOPPED}


def compare(space: Workspace, name: str, form: str, out: Path) -> None:
    """Export a network and compare answers with `predict`: events alone and in batches of other sizes than it was traced with."""
    (found,) = export_model(space.run(name), out, form)
    assert found.labels_differ == 0
    assert found.score < 1e-4
    live, exported = tpcfm.load(space.run(name), device="cpu"), ExportedModel(out)
    with open_events(events_of(space, name), live.detector) as source:
        events = list(source.events)[:6]
    for batch_points in (1, 700, 10_000):
        for a, b in zip(live.predict_events(events, batch_points), exported.predict_events(events, batch_points)):
            assert (a.event_id, a.reason) == (b.event_id, b.reason)
            for label in a.labels:
                np.testing.assert_array_equal(a[label], b[label])
                if not a.reason:
                    np.testing.assert_allclose(a.scores[label], b.scores[label], atol=1e-4)
    record = json.loads((out / "export.json").read_text())
    shapes = (out / "example" / "inputs.txt").read_text().splitlines()
    assert [line.split()[0] for line in shapes] == list(record["inputs"]), "in the order of the arguments"


@pytest.mark.parametrize("name", ["sage", "trees"])
def test_an_exported_network_answers_as_predict_does(space: Workspace, name: str, tmp_path: Path) -> None:
    compare(space, name, "torch-export", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*TRACED} - {"sage", "trees"}))
def test_all_that_can_be_exported(space: Workspace, name: str, tmp_path: Path) -> None:
    compare(space, name, "torch-export", tmp_path / "out")


@pytest.mark.slow
def test_onnx_answers_alike_or_is_said_to_be_missing(space: Workspace, tmp_path: Path) -> None:
    if ONNX:
        for name in ("semantic-head", "pid-pretrained"):
            compare(space, name, "onnx", tmp_path / name)
        with pytest.raises(CheckpointError, match=r"ONNX has no form of aten\.repeat_interleave"):
            export_model(space.run("gat"), tmp_path / "gat", "onnx")
        return
    with pytest.raises(MachineError, match=r"pip install 'tpcfm\[onnx\]'"):
        export_model(space.run("semantic-head"), tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(STOPPED))
def test_what_cannot_be_exported_names_the_operator(space: Workspace, name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=STOPPED[name]):
        export_model(space.run(name), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_alone_are_a_model_that_needs_nothing_beside_it(space: Workspace, tmp_path: Path) -> None:
    (found,) = export_model(space.run("pid-pretrained"), tmp_path / "out", "safetensors")
    assert (found.labels_differ, found.score) == (0, 0.0)
    assert (tmp_path / "out" / "backbone" / "model.safetensors").is_file()
    assert tpcfm.load(tmp_path / "out").fingerprint == tpcfm.load(space.run("pid-pretrained")).fingerprint


def test_a_network_that_answers_otherwise_is_not_written(
    space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: Any, batch: Any) -> dict[str, Answer]:
        ((label, answer),) = answers(model, batch).items()
        return {label: replace(answer, values=np.roll(answer.values, 1) + 1)}

    answers = export._live
    monkeypatch.setattr(export, "_live", wrong)
    with pytest.raises(CheckpointError, match="answers otherwise than the live one"):
        export_model(space.run("trees"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_may_not_be_asked(space: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed: torch-export, aot-inductor, onnx, safetensors"):
        export_model(space.run("trees"), tmp_path / "out", "tflite")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="no export"):
        export_model(space.run("trees"), tmp_path / "mine")
    with pytest.raises(CheckpointError, match="predicts no label"):
        export_model(space.run("fm4npp"), tmp_path / "out")


def test_the_carry_of_a_traced_scan_is_that_of_the_live_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for chunks in (1, 2, 16, 17, 300):
        decay = -torch.rand(chunks, 3, generator=generator) * 2
        keep = torch.rand(chunks, generator=generator) > 0.1
        added = torch.randn(chunks, 4, 3, 5, generator=generator)
        torch.testing.assert_close(_carry_at_once(decay, keep, added), carry(decay, keep, added))


def test_traced_trees_are_the_compiled_ones() -> None:
    generator = np.random.default_rng(0)
    nodes, trees = 7, 4  # each tree: a root, a leaf, an inner node with two leaves, two nodes that nothing leads to
    model = TreeEnsemble(nodes * trees, trees, 2, 3)
    for tree in range(trees):
        start = nodes * tree
        model.root[tree] = start
        for node, (left, right) in {0: (1, 2), 2: (3, 4)}.items():
            model.feature[start + node] = int(generator.integers(3))
            model.left[start + node], model.right[start + node] = start + left, start + right
        model.threshold[start : start + nodes] = torch.from_numpy(generator.normal(size=nodes))
        model.value[start : start + nodes] = torch.from_numpy(generator.normal(size=nodes))
    model.learned.copy_(torch.tensor([0, 2]))
    points = torch.from_numpy(generator.normal(size=(50, 3)).astype(np.float32))
    known = model({"geometry": points})
    assert len(known.unique(dim=0)) > 3
    torch.testing.assert_close(model.prepare_export()._traced(points), known)
    assert model.levels == 2
