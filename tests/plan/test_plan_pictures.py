"""The plan says which runs the pictures show: one backbone with its adapters, controls with the same labels and seed."""

from pathlib import Path

import pytest
from tpcfm.plan.pictures import compared_runs, fm4npp_pictures, picture_runs, polar_mae_pictures

from tpcfm.config.text import read_yaml
from tpcfm.plan.table import Plan
from tpcfm.systems.registry import make_plan, validate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(validate(read_yaml(ROOT / "config.yaml")))


def test_adapters_of_the_pictures_sit_on_one_backbone(plan: Plan) -> None:
    found = fm4npp_pictures(plan)
    assert found is not None
    assert set(found.adapters) == {"tracks", "pid", "noise"}
    assert {plan.runs[run].pretrained for run in found.adapters.values()} == {found.backbone}
    assert plan.runs[found.backbone].config["model"]["width"] == 128  # the widest with adapters
    assert set(found.runs) == set(picture_runs(plan, "fm4npp"))


@pytest.mark.parametrize("task", ["tracks", "pid", "noise"])
def test_compared_runs_differ_in_the_backbone_alone(plan: Plan, task: str) -> None:
    names = compared_runs(plan, task)
    control, pretrained = (plan.runs[run] for run in names.values())
    assert next(iter(names)) == "adapter only"
    assert control.config["start"] == "none"
    assert pretrained.pretrained
    assert (control.n_labels, control.seed, control.task) == (pretrained.n_labels, pretrained.seed, task)


def test_objectives_of_polar_mae_are_named(plan: Plan) -> None:
    found = polar_mae_pictures(plan)
    assert found is not None
    assert list(found.pretrained) == ["polar_mae", "point_mae"]


def test_a_system_that_is_not_planned_has_no_pictures() -> None:
    plan = make_plan(validate({**read_yaml(ROOT / "config.yaml"), "systems": ["polar_mae"]}))
    assert picture_runs(plan, "fm4npp") == []
    assert compared_runs(plan, "pid") == {}
