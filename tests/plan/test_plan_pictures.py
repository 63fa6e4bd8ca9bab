"""The plan says which runs the pictures show: one backbone with its adapters, controls with the same labels and seed."""

import pytest

from plans import planned, values
from tpcfm.config.text import merge
from tpcfm.plan.table import Plan
from tpcfm.systems.fm4npp.choice import compared_runs, fm4npp_pictures
from tpcfm.systems.polar_mae.choice import polar_mae_pictures
from tpcfm.systems.registry import picture_runs


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned()


def test_adapters_of_the_pictures_sit_on_one_backbone(plan: Plan) -> None:
    found = fm4npp_pictures(plan, "fm4npp")
    assert found is not None
    assert set(found.adapters) == {"track", "pid", "noise"}
    assert {plan.runs[run].pretrained for run in found.adapters.values()} == {found.backbone}
    assert plan.runs[found.backbone].config["model"]["width"] == 128  # the widest with adapters
    assert set(found.runs) == set(picture_runs(plan, "fm4npp"))


@pytest.mark.parametrize("task", ["track", "pid", "noise"])
def test_compared_runs_differ_in_the_backbone_alone(plan: Plan, task: str) -> None:
    names = compared_runs(plan, "fm4npp", task)
    control, pretrained = (plan.runs[run] for run in names.values())
    assert next(iter(names)) == "m2 adapter only"
    assert control.config["start"] == "none"
    assert control.config["model"]["width"] == pretrained.config["model"]["width"]
    assert pretrained.pretrained
    assert (control.n_labels, control.seed, control.task) == (pretrained.n_labels, pretrained.seed, task)


def test_objectives_of_polar_mae_are_named(plan: Plan) -> None:
    found = polar_mae_pictures(plan, "polar_mae")
    assert found is not None
    assert list(found.pretrained) == ["polar_mae", "point_mae"]


def test_instances_of_the_pictures_are_a_task_with_instances(plan: Plan) -> None:
    found = fm4npp_pictures(plan, "fm4npp")
    assert found is not None
    assert found.instances == "track"
    assert found.compared == compared_runs(plan, "fm4npp", "track")


def test_without_tasks_the_widest_backbone_is_shown_on_its_own_events() -> None:
    bare = planned({"systems": {"fm4npp": {"tasks": {"track": None, "pid": None, "noise": None}}}})
    found = fm4npp_pictures(bare, "fm4npp")
    assert found is not None
    assert (found.adapters, found.compared, found.instances) == ({}, {}, None)
    assert bare.runs[found.backbone].config["model"]["width"] == 256
    assert found.cache == bare.runs[found.backbone].cache
    assert compared_runs(bare, "fm4npp", "pid") == {}


def test_every_system_has_pictures_of_its_own() -> None:
    block = values()["systems"]["fm4npp"]
    both = planned({"systems": {"other": block}})
    assert picture_runs(both, "other") == picture_runs(both, "fm4npp"), "equal work is one run"
    two = planned({"systems": {"other": merge(block, {"pretrain": {"steps": 30}})}})
    assert {two.runs[run].system for run in picture_runs(two, "other") if two.runs[run].pretrained} == {"other"}
