"""Studies of FM4NPP beside scaling: what the plan makes of them, what it reuses, and which settings are refused."""

from typing import Any

import pytest

import plans
from tpcfm.errors import ConfigError
from tpcfm.plan.table import Plan, Study


def planned(**blocks: Any) -> Plan:
    adapters = {name: blocks.pop(name) for name in ("depth", "joint") if name in blocks}
    return plans.planned({"systems": {"fm4npp": {**blocks, "adapters": adapters}}})


def study(plan: Plan, name: str) -> Study:
    return plan.studies[f"fm4npp.{name}"]


def test_the_studies_leave_the_other_runs_as_they_are() -> None:
    before = planned(mup_study=None)
    after = planned(
        mup_study={"coordinates": {}, "transfer": {"learning_rates": [1e-4, 3e-3]}},
        depth={"n_labels": 100},
        joint={"n_labels": 100},
        ablations={"rescale": ["difficulty", "inverse_difficulty"]},
    )
    assert set(before.runs) < set(after.runs)
    assert len({run.hash for run in after.runs.values()}) == len(after.runs)


def test_the_sweep_is_ordinary_pretraining_and_shares_the_runs_that_are_there() -> None:
    rate = plans.values()["systems"]["fm4npp"]["pretrain"]["learning_rate"]
    plan = planned(mup_study={"transfer": {"sizes": ["m1", "m2"], "learning_rates": [rate, 3 * rate]}})
    points = study(plan, "lr_transfer").points
    assert {p.axis for p in points} == {f"learning_rate/{k}/{s}" for k in ("mup", "standard") for s in ("m1", "m2")}
    for point in points:
        run = plan.runs[point.run]
        _, kind, _ = point.axis.split("/")
        assert run.stage == "pretrain"
        assert run.config["train"]["learning_rate"] == float(point.value)
        assert run.config["model"]["parameterization"] == kind
    shared = {p.run for p in points if p.axis.startswith("learning_rate/mup") and float(p.value) == rate}
    assert shared <= set(study(plan, "scaling_size").runs)
    assert set(study(plan, "lr_transfer").runs) <= set(plan.of_experiment("scaling"))


def test_the_coordinate_check_is_one_job_per_parameterization() -> None:
    plan = planned(mup_study={"coordinates": {"widths": [64, 128], "depth": 2}})
    runs = [plan.runs[r] for r in study(plan, "coordinate_check").runs]
    assert [r.config["model"]["parameterization"] for r in runs] == ["mup", "standard"]
    assert all(r.recipe == "fm4npp.coordinate_check" and r.config["model"]["depth"] == 2 for r in runs)


def test_every_depth_has_the_backbone_and_a_linear_layer_in_its_place() -> None:
    plan = planned(depth={"depths": [0, 1, 2, 4], "n_labels": 100, "seeds": [0, 1]})
    points = study(plan, "adapter_depth").points
    assert len(points) == 4 * 2 * 2
    for point in points:
        config = plan.runs[point.run].config
        assert config["attention_layers"] == int(point.value)
        assert config["feed_forward"]
        linear = point.axis == "depth/linear layer"
        assert (config["start"], config["raw_embedding"]) == (("none", "linear") if linear else ("pretrained", "nerf"))
        assert (plan.runs[point.run].pretrained is None) == linear


def test_the_joint_adapter_differs_from_the_separate_ones_in_its_heads_only() -> None:
    plan = planned(joint={"n_labels": 100}, depth={"depths": [2], "n_labels": 100})
    points = study(plan, "adapter_joint").points
    joint, *separate = (plan.runs[p.run].config for p in points)
    assert joint["outputs"] == {"pid": 5, "noise": 2}
    assert joint["weights"] == {"pid": 0.5, "noise": 2.5}
    assert [c["outputs"] for c in separate] == [{"pid": 5}, {"noise": 2}]
    assert all({**c, "outputs": joint["outputs"], "weights": joint["weights"]} == joint for c in separate)
    # The separate identification adapter is the depth sweep's.
    assert points[1].run in study(plan, "adapter_depth").runs


def test_rescaling_variants_change_the_training_loss_only() -> None:
    plan = planned(ablations={"rescale": ["difficulty"]})
    points = {p.value: plan.runs[p.run].config for p in study(plan, "ablation_pretrain").points}
    base, changed = next(c for v, c in points.items() if v.startswith("base")), points["rescale difficulty"]
    assert changed["targets"]["rescale"] == "difficulty"
    assert {**changed, "targets": {**changed["targets"], "rescale": "none"}} == base


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"depth": {"n_labels": 100, "size": "m6"}}, r"adapters\.depth\.size: \['m6'\] not in sizes"),
        ({"mup_study": {"transfer": {"learning_rates": [1e-3, -1.0]}}}, r"should be greater than 0"),
        ({"mup_study": {"coordinates": {"widths": [64]}}}, "widths"),
    ],
)
def test_wrong_studies_are_refused(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(**blocks)


def test_adapter_studies_need_the_budget_of_their_task() -> None:
    with pytest.raises(ConfigError, match=r"adapters\.depth\.task: \['pid'\] not in tasks \(track, noise\)"):
        planned(depth={"n_labels": 100}, tasks={"pid": None})
