"""The comparisons of a plan pair the systems that the claims name, run by run of equal seeds and labels."""

from pathlib import Path

import numpy as np
import pytest

from tpcfm.config.text import read_yaml
from tpcfm.evaluate.comparisons import compare_plan, markdown, standard_pairs
from tpcfm.evaluate.table import write_metrics
from tpcfm.systems.registry import make_plan, validate
from tpcfm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(tmp_path):
    config = {**read_yaml(ROOT / "config.yaml"), "results": str(tmp_path)}
    config["polar_mae"]["segmentation"]["seeds"] = config["polar_mae"]["sparse_unet"]["seeds"] = [0, 1, 2]
    config["fm4npp"]["adapters"]["pid"]["seeds"] = [0, 1]
    return make_plan(validate(config))


def test_pairs_of_the_claims(plan):
    pairs = {(p.study, p.name) for p in standard_pairs(plan)}
    assert {
        ("probe", "polar_mae against random"),
        ("probe", "polar_mae against point_mae"),
        ("segmentation", "polar_mae/peft against sparse_unet"),
        ("segmentation", "polar_mae/full against random/full"),
        ("segmentation", "polar_mae/peft against point_mae/peft"),
        ("adapters_tracks", "m2 pretrained against adapter only"),
        ("adapters_pid", "m1 pretrained against sage"),
        ("ablation_adapters", "base (k=30, raster) against k=1"),
    } <= pairs
    for pair in standard_pairs(plan):
        assert not set(pair.first_runs) & set(pair.second_runs)
        tasks = {plan.runs[r].task for r in (*pair.first_runs, *pair.second_runs)}
        assert len(tasks) == 1


def test_studies_of_the_pretraining_stand_against_their_first_entry(plan):
    config = plan.config | {}
    config["polar_mae"] |= {
        "grouping_study": {"methods": ["fps_knn"], "overlaps": [1.0]},
        "variants": {"variants": ["diffusion"]},
    }
    names = {(p.study, p.name) for p in standard_pairs(make_plan(validate(config)))}
    assert {
        ("grouping_probe", "cnms-f0.73 against fps_knn"),
        ("grouping_probe", "cnms-f0.73 against cnms-f1"),
        ("variants_probe", "base against diffusion"),
        ("mask_ratio_probe", "0.6 against 0.8"),
    } <= names


def test_only_finished_pairs_are_compared_and_both_label_counts_appear(plan, tmp_path):
    space, rng = Workspace(tmp_path), np.random.default_rng(0)
    assert compare_plan(plan).empty
    for run in plan.of_experiment("finetune", "baselines"):
        entry = plan.runs[run]
        if entry.task != "segmentation":
            continue
        level = 0.8 if "polar_mae" in run else 0.5
        common = {"run": run, "task": "segmentation", "split": "test", "n_labels": entry.n_labels, "seed": entry.seed}
        values = {"": level, "track": 0.6}
        rows = [{**common, "metric": "f1", "class": c, "value": v + rng.normal(0, 0.01)} for c, v in values.items()]
        write_metrics(space.run(run) / "metrics.parquet", rows)
    found = compare_plan(plan)
    assert set(found["study"]) == {"segmentation"}
    rows = found[(found["comparison"] == "polar_mae/peft against sparse_unet") & (found["class"] == "")]
    assert sorted(rows["n_labels"]) == [10, 100]
    assert set(rows["verdict"]) == {"above"}
    assert set(rows["seeds"]) == {3}
    assert "| polar_mae/peft against sparse_unet | segmentation | f1 | mean | 10 |" in markdown(found)
