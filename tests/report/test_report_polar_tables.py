"""PoLAr-MAE on the page: every score of Table 7 and its calibrated row, early probes, studies, and what is not shown to be above is named."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tpcfm.config.text import read_yaml
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import atomic
from tpcfm.report.draw.style import Sheet
from tpcfm.report.names import plain, plain_pair, tokenizer
from tpcfm.report.published import numbers as published
from tpcfm.report.sections.masked_losses import masked_loss_items
from tpcfm.report.sections.paired import paired_items
from tpcfm.report.sections.polar_studies import polar_study_items
from tpcfm.report.sections.probes import probe_items
from tpcfm.report.sections.segmentation import segmentation_items
from tpcfm.report.tables import share_with_interval
from tpcfm.systems.registry import make_plan, validate
from tpcfm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("", "shower", "track", "Michel", "delta")


@pytest.fixture
def plan(tmp_path):
    config = {**read_yaml(ROOT / "config.yaml"), "results": str(tmp_path), "systems": ["polar_mae"]}
    polar = config["polar_mae"]
    polar["segmentation"]["seeds"] = polar["sparse_unet"]["seeds"] = [0, 1, 2]
    polar["grouping_study"] = {"methods": ["fps_knn"], "overlaps": [1.0], "steps": 10}
    polar["variants"] = {"variants": ["group_energy"], "steps": 10}
    return make_plan(validate(config))


@pytest.fixture
def space(plan, tmp_path):
    """Metrics of every run: pretrained above random except for Michel, where the seeds disagree."""
    workspace = Workspace(tmp_path)
    for name, run in plan.runs.items():
        common = {"run": name, "task": run.task, "split": "test", "n_labels": run.n_labels or -1, "seed": run.seed}
        good = "polar_mae" in run.slug
        rows = []
        if run.task == "segmentation":
            for metric in ("f1", "precision", "recall", "iou"):
                for c in CLASSES:
                    value = 0.5 + 0.2 * good + 0.01 * run.seed
                    if c == "Michel":
                        value = 0.5 + 0.1 * (run.seed - 1) * (1 if good else -1)
                    rows += [
                        {**common, "metric": metric + suffix, "class": c, "value": value + gain}
                        for suffix, gain in (("", 0.0), ("_calibrated", 0.07))
                    ]
        elif run.task == "probe":
            tasks = {"probe": 0.6} if run.pretrained is None else {"probe": 0.7, "probe_fifth": 0.65}
            for task, value in tasks.items():
                rows += [
                    {
                        **common,
                        "task": task,
                        "metric": "f1",
                        "class": c,
                        "value": value,
                        "low": value - 0.02,
                        "high": value + 0.02,
                    }
                    for c in CLASSES
                ]
                if task == "probe_fifth":
                    rows.append({**common, "task": task, "metric": "step", "value": 20.0})
        else:
            log = pd.DataFrame(
                {"step": [0, 30, 60], "split": "validation", "loss": [1.0, 0.5, 0.4], "probe_f1": [0.2, 0.3, 0.4]}
            )
            log = log.assign(**{f"probe_f1_{c}": log["probe_f1"] for c in CLASSES[1:]})
            with atomic(workspace.run(name) / "log.parquet") as temporary:
                log.to_parquet(temporary)
            rows.append({**common, "metric": "loss", "value": 0.4})
        write_metrics(workspace.run(name) / "metrics.parquet", rows)
    return workspace


def cells(item):
    found = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", item.html)]
    return {(row[0], row[1]): row[2:] for row in found if row}


def test_every_score_of_table_7_stands_beside_the_paper(plan, space, tmp_path):
    items = {i.name: i for i in segmentation_items(plan, Sheet(tmp_path / "figures", "demo"))}
    assert {"labels-polar_mae", "precision-polar_mae", "calibration"} <= set(items)
    for metric in ("f1", "precision", "recall", "iou"):
        rows = cells(items["table-segmentation" if metric == "f1" else f"table-segmentation-{metric}"])
        for system in ("PoLAr-MAE, frozen", "from scratch", "sparse U-Net"):
            for labels in ("10", "100"):
                plain, tuned = (
                    rows[f"{system} (here)", labels],
                    rows[f"{system}, decision weights tuned (here)", labels],
                )
                assert float(tuned[0].split()[0]) == pytest.approx(float(plain[0].split()[0]) + 0.07, abs=2e-3)
        paper = [values for (name, _), values in rows.items() if "(paper, PILArNet-M)" in name]
        assert len(paper) == (0 if metric == "iou" else 4)
    rows = cells(items["table-segmentation-precision"])
    first, second = list(rows)[:2]  # the tuned row stands below its own
    assert (second[0], second[1]) == (first[0].replace(" (here)", ", decision weights tuned (here)"), first[1])
    assert rows["PoLAr-MAE, fine-tuned (paper, PILArNet-M)", "10 000"] == ["0.779", "0.996", "0.997", "0.402", "0.720"]
    gains = cells(items["calibration"])
    assert all(value.startswith("0.070") for values in gains.values() for value in values)
    assert "0.995" not in items["precision-polar_mae"].html.split("<svg")[0]
    assert (tmp_path / "figures" / "precision-polar_mae.png").exists()


def test_published_scores_are_consistent():
    for scores in published.SEGMENTATION.values():
        for values in scores.values():
            classes = [values[c] for c in ("track", "shower", "delta", "Michel")]
            assert values["mean"] == pytest.approx(sum(classes) / 4, abs=2e-3)
        for c in ("track", "shower"):
            p, r = scores["precision"][c], scores["recall"][c]
            assert scores["f1"][c] == pytest.approx(2 * p * r / (p + r), abs=3e-3)


def test_probe_after_a_fifth_and_at_the_end_with_the_curve(plan, space, tmp_path):
    curve, table = probe_items(plan, space, Sheet(tmp_path / "figures", "demo"))
    assert curve.name == "probe-curve"
    rows = cells(table)
    assert rows["PoLAr-MAE (here)", "20"][0].startswith("0.650")
    assert rows["PoLAr-MAE (here)", "60"][0].startswith("0.700")
    assert rows["random weights (here)", "0"][0].startswith("0.600")
    assert rows["Point-MAE (paper, PILArNet-M)", "100 000"][0] == "0.680"


def test_studies_name_steps_and_stand_beside_table_4(plan, space):
    items = {i.name: cells(i) for i in polar_study_items(plan)}
    assert ("FPS + kNN (here)", "10") in items["grouping"]
    assert items["grouping"]["FPS + kNN (paper, PILArNet-M)", "100 000"][0] == "0.469"
    assert set(items["variants"]) == {("base (here)", "10"), ("group_energy (here)", "10")}


def test_what_is_not_above_is_named(plan, space):
    items = {i.name: i for i in paired_items(plan)}
    rows = cells(items["is-it-above"])
    above, below, zero, single, enough = rows[
        "Segmentation with few labels, F1: PoLAr-MAE, frozen against sparse U-Net", "10"
    ]
    assert (above, below, zero, single) == ("mean, shower, track, delta", "–", "Michel", "–")
    assert (
        "Segmentation with few labels, F1, decision tuned on validation events: PoLAr-MAE, frozen against sparse U-Net"
        in {n for n, _ in rows}
    )
    assert enough == "no"  # three seeds, unknown number of events
    single = rows["Probe of frozen tokens, F1: PoLAr-MAE against random weights", ""][3]
    assert single == "mean, shower, track, Michel, delta"
    probe = cells(items["above-probe"])
    assert any("after a fifth of the steps" in name for name, _ in probe)
    assert probe["PoLAr-MAE against random weights", ""][2].startswith("? +0.100")


def test_names_are_those_people_write():
    assert [plain(n) for n in ("polar_mae/peft", "random/full", "random", "sparse_unet, 100 labels", "0.6")] == [
        "PoLAr-MAE, frozen",
        "from scratch",
        "random weights",
        "sparse U-Net, 100 labels",
        "0.6",
    ]
    assert tokenizer("fps_cnms-f0.73") == "FPS + C-NMS + ball query, f = 0.73"
    assert tokenizer("cnms r=5 f=0.73") == "C-NMS + ball query, r = 5, f = 0.73"
    assert tokenizer("block_masking") == "block_masking"
    assert plain_pair("cnms-f0.73 against fps_knn") == "C-NMS + ball query, f = 0.73 against FPS + kNN"


def test_loss_terms_have_panels_of_their_own(plan, tmp_path):
    rows = {"step": [0, 30], "split": "validation", "chamfer": [1.0, 0.5]}
    with_energy = pd.DataFrame(rows | {"energy": [0.4, 0.2]})
    points = {p.value: p.run for p in plan.studies["pretrain_polar_mae"].points}
    logs = {points["polar_mae"]: with_energy, points["point_mae"]: pd.DataFrame(rows)}
    (item,) = masked_loss_items(plan, logs, Sheet(tmp_path, "demo"))
    assert "chamfer loss" in item.html
    assert "energy loss" in item.html
    (item,) = masked_loss_items(plan, {points["point_mae"]: pd.DataFrame(rows)}, Sheet(tmp_path, "demo"))
    assert "energy loss" not in item.html.split(">", 1)[1]
    assert masked_loss_items(plan, {}, Sheet(tmp_path, "demo")) == []


def test_shares_are_never_written_with_powers_of_ten():
    assert share_with_interval(0.0004, float("nan"), float("nan")) == "0.000"
    assert "10<sup>" not in share_with_interval(0.2, 0.0002, 0.4)
