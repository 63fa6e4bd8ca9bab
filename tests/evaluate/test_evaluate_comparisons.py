"""The comparisons of a plan pair the systems that the claims name, run by run of equal seeds and labels."""

import numpy as np
import pytest

from plans import planned, setting
from tpcfm.config.text import merge
from tpcfm.evaluate.comparisons import compare_plan, markdown, standard_pairs
from tpcfm.evaluate.table import write_metrics
from tpcfm.workspace import Workspace


@pytest.fixture
def over(tmp_path):
    seeds = {"seeds": [0, 1, 2]}
    polar = {"tasks": {"semantic": seeds}, "baselines": {"sparse_unet": {"tasks": {"semantic": seeds}}}}
    fm4npp = {"tasks": {"pid": {"seeds": [0, 1]}}}
    return {"results": str(tmp_path), "systems": {"polar_mae": polar, "fm4npp": fm4npp}}


@pytest.fixture
def plan(over):
    return planned(over)


def test_pairs_of_the_claims(plan):
    pairs = {(p.system, p.study, p.name) for p in standard_pairs(plan)}
    assert {
        ("polar_mae", "probe", "polar_mae against random"),
        ("polar_mae", "probe", "polar_mae against point_mae"),
        ("polar_mae", "heads_semantic", "polar_mae/peft against sparse_unet"),
        ("polar_mae", "heads_semantic", "polar_mae/full against random/full"),
        ("polar_mae", "heads_semantic", "polar_mae/peft against point_mae/peft"),
        ("fm4npp", "heads_track", "m2 pretrained against m2 adapter only"),
        ("fm4npp", "heads_pid", "m1 pretrained against sage"),
        ("fm4npp", "ablation_heads", "base (k=30, raster) against k=1"),
    } <= pairs
    for pair in standard_pairs(plan):
        assert not set(pair.first_runs) & set(pair.second_runs)
        tasks = {plan.runs[r].task for r in (*pair.first_runs, *pair.second_runs)}
        assert len(tasks) == 1


def test_studies_of_the_pretraining_stand_against_their_first_entry(over):
    studies = {
        "grouping_study": {"methods": ["fps_knn"], "overlaps": [1.0]},
        "variants": {"variants": ["diffusion"]},
    }
    names = {(p.study, p.name) for p in standard_pairs(planned(merge(over, setting("systems.polar_mae", studies))))}
    assert {
        ("grouping_probe", "cnms-f0.73 against fps_knn"),
        ("grouping_probe", "cnms-f0.73 against cnms-f1"),
        ("variants_probe", "base against diffusion"),
        ("mask_ratio_probe", "0.6 against 0.8"),
    } <= names


def test_systems_of_one_family_are_compared_within_each(over):
    names = {(p.system, p.name) for p in standard_pairs(planned(merge(over, {"systems": {"other": SECOND}})))}
    assert {name for system, name in names if system == "other"} == {"m1 pretrained against adapter only"}
    assert ("fm4npp", "m2 pretrained against m2 adapter only") in names


SECOND = {
    "family": "fm4npp",
    "dataset": "lartpc",
    "sizes": ["m1"],
    "pretrain": {"steps": 2, "batch_size": 2},
    "tasks": {"group": {"labels": [4], "train": {"steps": 2, "batch_size": 2}}},
}


def test_only_finished_pairs_are_compared_and_both_label_counts_appear(plan, tmp_path):
    space, rng = Workspace(tmp_path), np.random.default_rng(0)
    assert compare_plan(plan).empty
    for run in plan.of_experiment("finetune", "baselines"):
        entry = plan.runs[run]
        if entry.task != "semantic":
            continue
        level = 0.8 if "semantic-polar_mae" in run else 0.5
        common = {"run": run, "task": "semantic", "split": "test", "n_labels": entry.n_labels, "seed": entry.seed}
        values = {"": level, "track": 0.6}
        rows = [{**common, "metric": "f1", "class": c, "value": v + rng.normal(0, 0.01)} for c, v in values.items()]
        write_metrics(space.metrics(run), rows)
    found = compare_plan(plan)
    assert set(found["study"]) == {"heads_semantic"}
    rows = found[(found["comparison"] == "polar_mae/peft against sparse_unet") & (found["class"] == "")]
    assert sorted(rows["n_labels"]) == [10, 100]
    assert set(rows["verdict"]) == {"above"}
    assert set(rows["seeds"]) == {3}
    assert "| polar_mae/peft against sparse_unet | semantic | f1 | mean | 10 |" in markdown(found)
