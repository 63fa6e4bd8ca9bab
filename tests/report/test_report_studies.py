"""Figures and tables of the FM4NPP studies: every study of a plan is shown, with the published numbers beside ours."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tpcfm.config.text import read_yaml
from tpcfm.evaluate.table import write_metrics
from tpcfm.report.draw.style import Sheet
from tpcfm.report.scaling_page import write_scaling_page
from tpcfm.report.sections.ablations import ablation_items
from tpcfm.report.sections.label_sizes import ari_by_size
from tpcfm.report.sections.scaling import scaling_items
from tpcfm.scaling.study import write_scaling
from tpcfm.systems.registry import make_plan, validate
from tpcfm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
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
    values = read_yaml(ROOT / "config.yaml")
    system = values["fm4npp"]
    system.update(STUDIES)
    system["adapters"]["depth"] = {"n_labels": 100}
    system["adapters"]["joint"] = {"n_labels": 100}
    plan = make_plan(validate({**values, "systems": ["fm4npp"], "results": str(tmp_path)}))
    write(plan)
    return plan


def write(plan):
    space = Workspace(Path(plan.config["results"]))
    held = {name: {p.run: p for p in study.points} for name, study in plan.studies.items()}
    for run, entry in plan.runs.items():
        common = {"run": run, "family": "fm4npp", "task": entry.task, "n_labels": entry.n_labels or -1}
        rows = [{**common, "metric": "parameters", "value": float(1e5 * (1 + len(run)))}]
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
        {**common, "metric": "flops", "value": 1e9},
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
    for task in common["task"].split("_"):
        if task in values:
            loss = {"metric": "cross_entropy", "split": "validation", "value": values[task]}
            rows.append({**common, "task": task, **loss})
    return rows


def cells(item):
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", item.html)]
    return [row for row in rows if row]


def test_scaling_section_shows_coordinates_and_transfer(plan, tmp_path):
    out = tmp_path / "studies" / "scaling"
    write_scaling(plan, out)
    items = {i.name: i for i in scaling_items(out, Sheet(tmp_path / "figures", "demo"))}
    assert {"coordinate-check", "coordinate-exponents", "lr-transfer", "lr-best", "scaling", "floors"} <= set(items)
    exponents = {row[0]: [float(v) for v in row[1:]] for row in cells(items["coordinate-exponents"])}
    assert exponents["branch 1"] == [0.0, 0.0, 0.0, 1.0]
    best = {(row[0], row[1]): row for row in cells(items["lr-best"])}
    for kind, name in (("mup", "maximal update"), ("standard", "standard")):
        for size, rate in BEST[kind].items():
            assert float(best[name, size][2]) == pytest.approx(rate)
    assert [best["maximal update", s][4] for s in ("m1", "m2", "m3")] == ["1", "1", "1"]
    assert best["standard", "m3"][4:] == ["0.01", "at the edge of the grid"]
    assert {"coordinate-check.svg", "lr-transfer.png"} <= {p.name for p in (tmp_path / "figures").iterdir()}


def test_the_scaling_page_stands_alone_with_its_figures(plan, tmp_path):
    folder = tmp_path / "studies" / "scaling"
    write_scaling(plan, folder)
    shown = {item.name for item in write_scaling_page(plan, folder, folder / "index.html")}
    page = (folder / "index.html").read_text()
    assert {"scaling", "scaling-downstream", "coordinate-check", "lr-transfer"} <= shown
    assert "Transfer of the learning rate over the width" in page
    assert plan.hash in page
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)
    assert (folder / "figures" / "scaling-downstream.png").stat().st_size > 1000


def test_a_plan_without_the_studies_shows_none_of_them(plan, tmp_path):
    without = {k: s for k, s in plan.studies.items() if k not in ("coordinate_check", "lr_transfer")}
    out = tmp_path / "studies" / "scaling"
    write_scaling(plan.model_copy(update={"studies": without}), out)
    names = {i.name for i in scaling_items(out, Sheet(tmp_path / "figures", "demo"))}
    assert names
    assert not names & {"coordinate-check", "lr-transfer", "lr-best"}


def test_depth_sweep_shows_the_benefit_beside_the_published_one(plan, tmp_path):
    items = {i.name: i for i in ablation_items(plan, Sheet(tmp_path / "figures", "demo"))}
    rows = {row[0]: row[1:] for row in cells(items["table-adapter-depth"])}
    assert [rows[f"{d} blocks (here)"][-1] for d in (0, 1, 2, 4)] == ["50.0 %", "50.0 %", "25.0 %", "0.0 %"]
    assert rows["0 blocks (paper, m6)"] == ["0.56 M", "–", "–", "54.2 %"]
    assert rows["4 blocks (paper, m6)"] == ["2.67 M", "0.244", "0.304", "19.8 %"]
    assert "adapter-depth" in items


def test_joint_and_separate_adapters_are_compared_task_by_task(plan, tmp_path):
    items = {i.name: i for i in ablation_items(plan, Sheet(tmp_path / "figures", "demo"))}
    rows = {row[0]: row[1:] for row in cells(items["table-adapter-joint"])}
    # The separate identification adapter is the depth sweep's with two blocks.
    assert rows["separate (here)"] == [f"{PRETRAINED[2]:.4f}", "0.0500"]
    assert rows["joint (here)"] == ["0.3300", "0.0600"]
    assert rows["change (here)"] == ["+10.0 %", "+20.0 %"]
    assert rows["separate (paper)"] == ["0.2377", "0.0513"]
    assert rows["joint (paper)"] == ["0.3107", "0.0552"]


def test_rescaling_shows_what_it_trades(plan, tmp_path):
    items = {i.name: i for i in ablation_items(plan, Sheet(tmp_path / "figures", "demo"))}
    rows = {row[0]: row[1:] for row in cells(items["rescaling"])}
    assert rows["rescale inverse_difficulty"][1:] == ["0.00833 (-16.7 %)", "0.04800 (+20.0 %)"]
    assert rows["rescale difficulty"][1:] == ["0.01111 (+11.1 %)", "0.03600 (-10.0 %)"]
    assert next(iter(rows)).startswith("base")


def test_ari_has_one_curve_per_backbone_and_the_adapter_alone(tmp_path):
    rows = [
        {"point": p, "n_labels": n, "value": v, "low": v - 0.01, "high": v + 0.01}
        for p, v in (("m1 pretrained", 0.6), ("m2 pretrained", 0.8), ("adapter only", 0.4), ("EggNet", 0.5))
        for n in (10, 100)
    ]
    (item,) = ari_by_size(pd.DataFrame(rows), Sheet(tmp_path / "figures", "demo"))
    for label in ("m1", "m2", "adapter only", "few labels: 2.9"):
        assert label in item.html
    assert "EggNet" not in item.html
    assert ari_by_size(pd.DataFrame(rows)[lambda f: f["point"] == "EggNet"], Sheet(tmp_path, "demo")) == []
