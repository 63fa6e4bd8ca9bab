"""Studies of PoLAr-MAE pretraining in the plan: one thing changed each, own caches, equal work done once, off by default."""

from typing import Any

import pytest

import plans
from tpcfm.errors import ConfigError
from tpcfm.plan.table import Plan, Study
from tpcfm.prepare.groups.settings import TokenizerConfig


def planned(**changes: Any) -> Plan:
    return plans.planned({"systems": {"fm4npp": None, "polar_mae": changes}})


def study(plan: Plan, name: str) -> Study:
    return plan.studies[f"polar_mae.{name}"]


def test_off_in_the_demo_and_on_at_the_scale_of_the_paper() -> None:
    assert not {"polar_mae.grouping", "polar_mae.variants"} & set(planned().studies)
    paper = plans.values(scale="paper")["systems"]["polar_mae"]
    assert set(paper["grouping_study"]["methods"]) == {"cnms", "fps_cnms", "fps_ball", "fps_knn"}
    assert {"autoencode", "group_energy", "diffusion"} <= set(paper["variants"]["variants"])


def test_each_tokenizer_has_its_own_cache_pretraining_and_probe() -> None:
    plan = planned(grouping_study={"overlaps": [0.4, 1.0], "steps": 30})
    points = {p.value: plan.runs[p.run] for p in study(plan, "grouping_probe").points}
    assert list(points) == ["cnms-f0.73", "fps_cnms-f0.73", "fps_ball", "fps_knn", "cnms-f0.4", "cnms-f1"]
    assert len({run.cache for run in points.values()}) == 6
    for name, run in points.items():
        pretrained = plan.runs[str(run.pretrained)]
        assert pretrained.cache == run.cache
        assert pretrained.config["train"]["steps"] == 30
        settings = TokenizerConfig.model_validate(plan.caches[run.cache].settings)
        assert name.startswith(settings.method)
    assert points["cnms-f0.73"].cache == plan.runs[study(plan, "probe").points[0].run].cache


def test_a_method_runs_at_its_own_point_and_the_extremes_of_f_for_the_methods_named() -> None:
    own = {"fps_knn": {"centres_per_point": 1 / 32}, "fps_cnms": {"seeds": 100}}
    plan = planned(
        grouping_study={"settings": own, "overlaps": [1.0], "overlap_methods": ["cnms", "fps_cnms"], "steps": 30}
    )
    found = {p.value: plan.caches[plan.runs[p.run].cache].settings for p in study(plan, "grouping").points}
    assert found["fps_knn"]["centres_per_point"] == 1 / 32
    assert "centres_per_point" not in found["fps_ball"]
    assert {"cnms-f1", "fps_cnms-f1"} <= set(found)
    assert found["fps_cnms-f1"]["seeds"] == 100


def test_short_pretrainings_have_schedules_of_their_own() -> None:
    """The early rows of Table 1 are no snapshots: fewer steps mean another cosine, for both objectives."""
    plan = planned(short_steps=30)
    main = {p.value: plan.runs[p.run] for p in study(plan, "pretrain").points}
    for point in study(plan, "pretrain_short").points:
        short = plan.runs[point.run]
        full = main[point.value.partition(",")[0]]
        assert short.config["train"]["steps"] == 30 < full.config["train"]["steps"]
        assert {k: v for k, v in short.config["train"].items() if k not in ("steps", "warmup_steps")} == {
            k: v for k, v in full.config["train"].items() if k not in ("steps", "warmup_steps")
        }
        probes = [plan.runs[p.run].pretrained for p in study(plan, "probe").points if p.value == point.value]
        assert probes == [short.id]
    assert len(study(plan, "pretrain_short").points) == 2


def test_without_steps_of_its_own_the_first_entry_is_the_main_run() -> None:
    plan = planned(grouping_study={"methods": ["cnms"], "overlaps": []}, variants={"variants": ["block_masking"]})
    main = next(p.run for p in study(plan, "pretrain").points if p.value == "polar_mae")
    assert plan.runs[study(plan, "grouping").points[0].run].hash == plan.runs[main].hash
    assert plan.runs[study(plan, "variants").points[0].run].hash == plan.runs[main].hash


@pytest.mark.parametrize(
    ("variant", "place", "value"),
    [
        ("autoencode", ("autoencode_weight",), 1.0),
        ("group_energy", ("model", "group_energy"), True),
        ("diffusion", ("model", "decoder"), "diffusion"),
        ("block_masking", ("masking",), "block"),
    ],
)
def test_each_variant_changes_one_value(variant: str, place: tuple[str, ...], value: object) -> None:
    plan = planned(variants={"variants": [variant]})
    base, changed = (plan.runs[p.run].config for p in study(plan, "variants").points)
    different = [key for key in base if base[key] != changed[key]]
    assert different == [place[0]]
    for key in place:
        base, changed = base[key], changed[key]
    assert changed == value != base


def test_masking_and_probe_events_reach_every_pretraining() -> None:
    plan = planned(masking="block", probe_events=3, autoencode_weight=0.5)
    for point in study(plan, "pretrain").points:
        config = plan.runs[point.run].config
        assert (config["masking"], config["probe_events"], config["autoencode_weight"]) == ("block", 3, 0.5)


def test_imported_weights_are_probed_and_fine_tuned_under_their_name() -> None:
    plan, without = planned(imported=["polarmae-released"]), planned()
    assert set(without.runs) < set(plan.runs)
    added = [plan.runs[name] for name in plan.runs if name not in without.runs]
    assert {run.pretrained for run in added} == {"polarmae-released"}
    assert {(run.recipe, run.config.get("mode")) for run in added} == {
        ("polar_mae.probe", None),
        ("polar_mae.segment", "peft"),
        ("polar_mae.segment", "full"),
    }
    assert "polarmae-released" in {p.value for p in study(plan, "probe").points}
    assert "polarmae-released/peft" in {p.value for p in study(plan, "heads_semantic").points}


@pytest.mark.parametrize(("name", "said"), [("polar_mae", "name of a start"), ("../elsewhere", "imported")])
def test_names_of_imported_weights_are_checked(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(imported=[name])
