"""Imported weights in the configuration: own events and adapters for FM4NPP, nothing else renamed, missing directories named."""

import json
from pathlib import Path
from typing import Any

import pytest
from tpcfm.plan.pictures import fm4npp_pictures
from tpcfm.scaling.cost_runs import RunCost

from tpcfm.config.text import merge, read_yaml
from tpcfm.config.workflow import WorkflowConfig
from tpcfm.errors import ConfigError
from tpcfm.evaluate.comparisons import standard_pairs
from tpcfm.plan.imported import import_problems
from tpcfm.plan.table import Plan
from tpcfm.prepare.sequences.settings import RELEASED_SERIALIZATION, SerializationConfig
from tpcfm.scaling.devices import Assumptions, device
from tpcfm.systems.registry import make_plan, validate

ROOT = Path(__file__).resolve().parents[2]


def configured(**over: Any) -> WorkflowConfig:
    return validate(merge(read_yaml(ROOT / "config.yaml"), over))


def planned(**over: Any) -> Plan:
    return make_plan(configured(**over))


def added(plan: Plan) -> list[Any]:
    return [run for name, run in plan.runs.items() if name not in planned().runs]


def test_adapters_of_every_task_start_from_imported_weights() -> None:
    plan, without = planned(fm4npp={"imported": ["FM4NPP-released"]}), planned()
    assert set(without.runs) < set(plan.runs)
    assert set(without.caches) < set(plan.caches)
    new = added(plan)
    assert {(run.pretrained, run.config["start"]) for run in new} == {("FM4NPP-released", "imported")}
    adapters = plan.config["fm4npp"]["adapters"]
    wanted = {
        (task, n, s)
        for task in ("tracks", "pid", "noise")
        for n in adapters[task]["labels"]
        for s in adapters[task]["seeds"]
    }
    assert {(run.task, run.n_labels, run.seed) for run in new} == wanted
    for task in ("tracks", "pid", "noise"):
        assert "FM4NPP-released pretrained" in {p.value for p in plan.studies[f"adapters_{task}"].points}
    assert plan.studies["scaling_downstream"] == without.studies["scaling_downstream"]


def test_their_events_are_those_of_all_systems_in_the_order_of_the_weights() -> None:
    plan = planned(fm4npp={"imported": ["a", "b"], "serialization": {"max_points": 5000}})
    caches = {run.pretrained: plan.caches[run.cache] for run in plan.runs.values() if run.pretrained in ("a", "b")}
    assert len({cache.edges for cache in caches.values()}) == 2
    for name, cache in caches.items():
        assert plan.edges[str(cache.edges)].model == name
        made = SerializationConfig.model_validate(cache.settings["serialization"])
        assert made == RELEASED_SERIALIZATION.model_copy(update={"max_points": 5000})
        assert cache.dataset == next(r.dataset for r in plan.runs.values() if r.task == "tracks")
    assert {e.model for e in plan.edges.values()} == {None, "a", "b"}


def test_without_imported_weights_the_plan_does_not_know_the_key() -> None:
    plan = planned()
    assert "imported" not in plan.config["fm4npp"]
    assert all("model" not in edges.model_dump() for edges in plan.edges.values())


def test_pictures_and_comparisons_take_them_in_stride() -> None:
    plan = planned(fm4npp={"imported": ["released"]})
    assert fm4npp_pictures(plan) == fm4npp_pictures(planned())
    first = {pair.first for pair in standard_pairs(plan) if pair.study == "adapters_tracks"}
    assert "released pretrained" in first


def test_capitals_in_a_name_make_run_ids() -> None:
    plan = planned(polar_mae={"imported": ["PoLAr-Released"]})
    assert {run.pretrained for run in added(plan)} == {"PoLAr-Released"}


@pytest.mark.parametrize(("name", "said"), [("m1", "name of a size or start"), ("../elsewhere", "imported")])
def test_names_are_checked(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(fm4npp={"imported": [name]})


def test_a_missing_directory_is_named_with_key_path_and_remedy(tmp_path: Path) -> None:
    config = configured(results=str(tmp_path), polar_mae={"imported": ["a"]}, fm4npp={"imported": ["b", "c"]})
    for name, architecture in (("b", "polar_mae"), ("c", "fm4npp")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "model.safetensors").write_bytes(b"")
        (tmp_path / "runs" / name / "config.json").write_text(json.dumps({"architecture": architecture}))
    first, second = import_problems(config)
    assert first.startswith(f"polar_mae.imported: 'a': there is no {tmp_path}/runs/a/config.json and no ")
    assert f"`tpcfm import-polar-mae CHECKPOINT {tmp_path}/runs/a`, or take 'a' out of polar_mae.imported" in first
    assert second.startswith("fm4npp.imported: 'b'")
    assert "holds a model of architecture 'polar_mae'; needed is fm4npp" in second
    assert import_problems(config.model_copy(update={"systems": []})) == []


def test_costs_are_those_of_the_weights_once_they_are_there(tmp_path: Path) -> None:
    plan = planned(results=str(tmp_path), fm4npp={"imported": ["big"]})
    run = next(name for name, entry in plan.runs.items() if entry.pretrained == "big")
    before = RunCost(plan, device("h100"), Assumptions()).scratch(run)
    (tmp_path / "runs/big").mkdir(parents=True)
    (tmp_path / "runs/big/config.json").write_text(json.dumps({"model": {"width": 256, "depth": 12}}))
    after = RunCost(plan, device("h100"), Assumptions()).scratch(run)
    assert after == pytest.approx(4 * before)
