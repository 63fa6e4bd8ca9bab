"""Imported weights in the configuration: own events and adapters for FM4NPP, nothing else renamed, missing directories named."""

import json
from pathlib import Path
from typing import Any

import pytest

from plans import planned, values
from tpcfm.errors import ConfigError
from tpcfm.evaluate.comparisons import standard_pairs
from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan
from tpcfm.prepare.sequences.settings import RELEASED_SERIALIZATION, SerializationConfig
from tpcfm.scaling.cost import Costs
from tpcfm.systems.fm4npp.choice import fm4npp_pictures
from tpcfm.systems.registry import missing_imports, validate

TASKS = ("track", "pid", "noise")


@pytest.fixture(scope="module")
def without() -> Plan:
    return planned()


def imported(*names: str, system: str = "fm4npp", **over: Any) -> dict[str, Any]:
    return {"systems": {system: {"imported": list(names), **over}}}


def added(plan: Plan, without: Plan) -> list[Run]:
    return [run for name, run in plan.runs.items() if name not in without.runs]


def test_adapters_of_every_task_start_from_imported_weights(without: Plan) -> None:
    plan = planned(imported("FM4NPP-released"))
    assert set(without.runs) < set(plan.runs)
    assert set(without.caches) < set(plan.caches)
    new = added(plan, without)
    assert {(run.pretrained, run.config["start"]) for run in new} == {("FM4NPP-released", "imported")}
    tasks = plan.config["systems"]["fm4npp"]["tasks"]
    wanted = {(task, n, s) for task in TASKS for n in tasks[task]["labels"] for s in tasks[task]["seeds"]}
    assert {(run.task, run.n_labels, run.seed) for run in new} == wanted
    for task in TASKS:
        assert "FM4NPP-released pretrained" in {p.value for p in plan.studies[f"fm4npp.heads_{task}"].points}
    assert plan.studies["fm4npp.scaling_downstream"] == without.studies["fm4npp.scaling_downstream"]


def test_their_events_are_those_of_all_systems_in_the_order_of_the_weights() -> None:
    plan = planned(imported("a", "b", serialization={"max_points": 5000}))
    caches = {run.pretrained: plan.caches[run.cache] for run in plan.runs.values() if run.pretrained in ("a", "b")}
    assert len({cache.edges for cache in caches.values()}) == 2
    for name, cache in caches.items():
        assert plan.edges[str(cache.edges)].model == name
        made = SerializationConfig.model_validate(cache.settings["serialization"])
        assert made == RELEASED_SERIALIZATION.model_copy(update={"max_points": 5000})
        assert cache.dataset == next(r.dataset for r in plan.runs.values() if r.task == "track")
    assert {e.model for e in plan.edges.values()} == {None, "a", "b"}


def test_without_imported_weights_all_edges_are_fitted(without: Plan) -> None:
    assert {edges.model for edges in without.edges.values()} == {None}


def test_pictures_and_comparisons_take_them_in_stride(without: Plan) -> None:
    plan = planned(imported("released"))
    assert fm4npp_pictures(plan, "fm4npp") == fm4npp_pictures(without, "fm4npp")
    first = {pair.first for pair in standard_pairs(plan) if pair.study == "heads_track"}
    assert "released pretrained" in first


def test_capitals_in_a_name_make_run_ids(without: Plan) -> None:
    plan = planned(imported("PoLAr-Released", system="polar_mae"))
    assert {run.pretrained for run in added(plan, without)} == {"PoLAr-Released"}


@pytest.mark.parametrize(("name", "said"), [("m1", "name of a size or start"), ("../elsewhere", "imported")])
def test_names_are_checked(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(imported(name))


def test_a_missing_directory_is_named_with_key_path_and_remedy(tmp_path: Path) -> None:
    over = {"systems": {**imported("a", system="polar_mae")["systems"], **imported("b", "c")["systems"]}}
    config = validate(values({"results": str(tmp_path), **over}))
    for name, architecture in (("b", "polar_mae"), ("c", "fm4npp")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "model.safetensors").write_bytes(b"")
        (tmp_path / "runs" / name / "config.json").write_text(json.dumps({"architecture": architecture}))
    first, second = missing_imports(config)
    key = "systems.polar_mae.imported"
    assert first.startswith(f"{key}: 'a': there is no {tmp_path}/runs/a/config.json and no ")
    assert f"`tpcfm import-polar-mae CHECKPOINT {tmp_path}/runs/a`, or take 'a' out of {key}" in first
    assert second.startswith("systems.fm4npp.imported: 'b'")
    assert "holds a model of architecture 'polar_mae'; needed is fm4npp" in second
    assert missing_imports(validate(values({"results": str(tmp_path)}))) == []


def test_costs_are_those_of_the_weights_once_they_are_there(tmp_path: Path) -> None:
    plan = planned({"results": str(tmp_path), **imported("big")})
    run = next(name for name, entry in plan.runs.items() if entry.pretrained == "big")
    before = Costs(plan).estimate(run)
    (tmp_path / "runs/big").mkdir(parents=True)
    (tmp_path / "runs/big/config.json").write_text(json.dumps({"model": {"width": 256, "depth": 12}}))
    after = Costs(plan).estimate(run)
    assert before is not None
    assert after is not None
    assert after.scratch == pytest.approx(4 * before.scratch)
