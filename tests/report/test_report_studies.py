"""Figures and tables of the FM4NPP studies: every study of a plan is shown, with the published numbers beside ours."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pages import demo_plan, named, row, table_of, tasks_of, view_of
from tpcfm.evaluate.table import write_metrics
from tpcfm.report.scaling_page import write_scaling_page
from tpcfm.report.sections.ablations import ablation_items
from tpcfm.report.sections.label_curves import curve_items
from tpcfm.report.sections.scaling import scaling_items
from tpcfm.scaling.study import write_scaling
from tpcfm.workspace import Workspace

STUDIES = {
    "mup_study": {
        "coordinates": {"widths": [64, 128], "depth": 2},
        "transfer": {"sizes": ["m1", "m2", "m3"], "learning_rates": [1e-4, 1e-3, 1e-2]},
    },
    "ablations": {"size": "m1", "k": [1], "n_labels": 100, "rescale": ["difficulty", "inverse_difficulty"]},
}
BEST = {"mup": {"m1": 1e-3, "m2": 1e-3, "m3": 1e-3}, "standard": {"m1": 1e-2, "m2": 1e-3, "m3": 1e-4}}
# Validation cross-entropy of identification by depth.
PRETRAINED, LINEAR = {0: 0.5, 1: 0.4, 2: 0.3, 4: 0.3}, {0: 1.0, 1: 0.8, 2: 0.4, 4: 0.3}


@pytest.fixture
def plan(tmp_path):
    def change(values):
        system = values["systems"]["fm4npp"]
        system.update(STUDIES)
        system["adapters"] |= {"depth": {"n_labels": 100}, "joint": {"n_labels": 100}}

    plan = demo_plan(tmp_path, "fm4npp", change=change)
    write(plan)
    return plan


def write(plan):
    space = Workspace(Path(plan.config["results"]))
    held = {study.name: {p.run: p for p in study.points} for study in plan.studies.values()}
    for run, entry in plan.runs.items():
        common = {"run": run, "family": "fm4npp", "task": entry.task, "n_labels": entry.n_labels or -1}
        split = "validation" if entry.stage == "pretrain" else ""
        rows = [{**common, "metric": "parameters", "split": split, "value": float(1e5 * (1 + len(run)))}]
        if entry.stage == "pretrain":
            rows += pretraining(common, run, entry, held)
        elif entry.recipe == "fm4npp.coordinate_check":
            kind = entry.config["model"]["parameterization"]
            rows += [{**common, "metric": "update_slope", "class": "branch 1", "value": 0.0}]
            space.run(run).mkdir(parents=True)
            sizes = [
                {"width": w, "step": s, "part": part, "activation": 1.0, "update": s * (w / 64) ** (kind == "standard")}
                for w in (64, 128)
                for s in range(4)
                for part in ("branch 1", "branch 2", "prediction")
            ]
            pd.DataFrame(sizes).assign(parameterization=kind).to_parquet(space.run(run) / "sizes.parquet")
        else:
            rows += adapter(common, run, held)
        space.run(run).mkdir(parents=True, exist_ok=True)
        write_metrics(space.run(run) / "metrics.parquet", rows)


def pretraining(common, run, entry, held):
    rate, weighted = entry.config["train"]["learning_rate"], entry.config["targets"]["rescale"]
    loss = 0.02
    if run in held["lr_transfer"]:
        _, kind, size = held["lr_transfer"][run].axis.split("/")
        loss = 0.02 if rate == pytest.approx(BEST[kind][size]) else 0.03
    rows = [
        {**common, "metric": "validation_loss", "split": "validation", "value": loss},
        {**common, "metric": "flops", "split": "validation", "value": 1e9},
    ]
    factor = {"none": 1.0, "difficulty": 0.9, "inverse_difficulty": 1.2}[weighted]
    easy = {"class": "1", "value": 0.01 / factor}, {"class": "4", "value": 0.04 * factor}
    return rows + [{**common, "metric": "error_of_difficulty", "split": "validation", **e} for e in easy]


def adapter(common, run, held):
    rows = [{**common, "metric": m, "split": "test", "value": 0.7} for m in ("ari", "accuracy", "efficiency", "purity")]
    values = {"pid": 0.25, "noise": 0.05}
    if run in held["adapter_depth"]:
        point = held["adapter_depth"][run]
        values["pid"] = (LINEAR if "linear" in point.axis else PRETRAINED)[int(point.value)]
    if run in held["adapter_joint"] and held["adapter_joint"][run].value == "joint":
        values = {"pid": 0.33, "noise": 0.06}
    for task in common["task"].split("+"):
        if task in values:
            loss = {"metric": "cross_entropy", "split": "validation", "value": values[task]}
            rows.append({**common, "task": task, **loss})
    return rows


def test_scaling_section_shows_coordinates_and_transfer(plan, tmp_path):
    out = tmp_path / "studies" / "scaling"
    write_scaling(plan, out)
    items = named(scaling_items(view_of(plan, tmp_path)))
    assert {"coordinate-check", "coordinate-exponents", "lr-transfer", "lr-best", "scaling", "floors"} <= set(items)
    assert [float(v) for v in row(items["coordinate-exponents"], "branch 1")] == [0.0, 0.0, 0.0, 1.0]
    for kind, name in (("mup", "maximal update"), ("standard", "standard")):
        for size, rate in BEST[kind].items():
            assert float(row(items["lr-best"], name, size=size)[0]) == pytest.approx(rate)
    assert [row(items["lr-best"], "maximal update", size=s)[2] for s in ("m1", "m2", "m3")] == ["1", "1", "1"]
    assert row(items["lr-best"], "standard", size="m3")[2:] == ["0.01", "at the edge of the grid"]
    assert {"coordinate-check.svg", "lr-transfer.png"} <= {p.name for p in (tmp_path / "figures").iterdir()}


def test_the_scaling_page_stands_alone_with_its_figures(plan, tmp_path):
    folder = tmp_path / "studies" / "scaling"
    write_scaling(plan, folder)
    shown = {item.name for item in write_scaling_page(plan, folder, folder / "index.html")}
    page = (folder / "index.html").read_text()
    assert {f"fm4npp-{name}" for name in ("scaling", "scaling-downstream", "coordinate-check", "lr-transfer")} <= shown
    assert "Transfer of the learning rate over the width" in page
    assert plan.hash in page
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)
    assert (folder / "figures" / "fm4npp-scaling-downstream.png").stat().st_size > 1000


def test_a_plan_without_the_studies_shows_none_of_them(plan, tmp_path):
    without = {k: s for k, s in plan.studies.items() if s.name not in ("coordinate_check", "lr_transfer")}
    write_scaling(plan.model_copy(update={"studies": without}), tmp_path / "studies" / "scaling")
    names = set(named(scaling_items(view_of(plan, tmp_path))))
    assert names
    assert not names & {"coordinate-check", "lr-transfer", "lr-best"}


def test_depth_sweep_shows_the_benefit_beside_the_published_one(plan, tmp_path):
    items = named(ablation_items(view_of(plan, tmp_path)))
    table = items["table-adapter-depth"]
    assert [row(table, f"{d} blocks (here)")[-1] for d in (0, 1, 2, 4)] == ["50.0 %", "50.0 %", "25.0 %", "0.0 %"]
    assert row(table, "0 blocks (paper)") == ["0.56 M", "–", "–", "54.2 %"]
    assert row(table, "4 blocks (paper)") == ["2.67 M", "0.244", "0.304", "19.8 %"]
    assert "adapter-depth" in items


def test_joint_and_separate_adapters_are_compared_task_by_task(plan, tmp_path):
    items = named(ablation_items(view_of(plan, tmp_path)))
    table = items["table-adapter-joint"]
    assert list(table_of(table).columns) == ["Particle identification", "Noise tagging"]
    # The separate identification adapter is the depth sweep's with two blocks.
    assert row(table, "separate (here)") == [f"{PRETRAINED[2]:.4f}", "0.0500"]
    assert row(table, "joint (here)") == ["0.3300", "0.0600"]
    assert row(table, "change (here)") == ["+10.0 %", "+20.0 %"]
    assert row(table, "separate (paper)") == ["0.2377", "0.0513"]
    assert row(table, "joint (paper)") == ["0.3107", "0.0552"]


def test_rescaling_shows_what_it_trades(plan, tmp_path):
    items = named(ablation_items(view_of(plan, tmp_path)))
    assert row(items["rescaling"], "rescale inverse_difficulty")[1:] == ["0.00833 (-16.7 %)", "0.04800 (+20.0 %)"]
    assert row(items["rescaling"], "rescale difficulty")[1:] == ["0.01111 (+11.1 %)", "0.03600 (-10.0 %)"]
    assert table_of(items["rescaling"]).index[0].startswith("base")


def test_the_gain_has_one_curve_per_backbone_beside_the_published_one(plan, tmp_path):
    task = tasks_of(view_of(plan, tmp_path))["track"]
    items = named(curve_items(task))
    for label in ("m1", "m2", "adapter only", "few labels: 2.9"):
        assert label in items["gain-track"].html
    assert "EggNet" not in items["gain-track"].html
    assert "EggNet" in items["labels-track"].html
    alone = task.rows["point"].isin(["adapter only", "EggNet"])
    assert "gain-track" not in named(curve_items(replace(task, rows=task.rows[alone])))
