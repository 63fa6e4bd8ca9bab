"""Heads and probes on tokens: every score of Table 7 and its calibrated row, early probes, studies, and what is not shown to be above is named."""

import pandas as pd
import pytest

from pages import demo_plan, named, row, table_of, tasks_of, view_of
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import atomic, write_json
from tpcfm.report.names import plain, plain_pair, tokenizer
from tpcfm.report.published.polar_mae import SEGMENTATION
from tpcfm.report.sections.label_curves import curve_items
from tpcfm.report.sections.label_tables import calibration_items, class_tables, score_table
from tpcfm.report.sections.paired import paired_items
from tpcfm.report.sections.probes import probe_items, probe_study_items
from tpcfm.report.sections.training import loss_items
from tpcfm.report.tables import share_with_interval
from tpcfm.workspace import Workspace

CLASSES = ("", "shower", "track", "Michel", "delta")


@pytest.fixture
def plan(tmp_path):
    def change(values):
        polar = values["systems"]["polar_mae"]
        polar["tasks"]["semantic"]["seeds"] = [0, 1, 2]
        polar["baselines"]["sparse_unet"]["tasks"]["semantic"]["seeds"] = [0, 1, 2]
        polar["short_steps"] = 12
        polar["grouping_study"] = {"methods": ["fps_knn"], "overlaps": [1.0], "steps": 10}
        polar["variants"] = {"variants": ["group_energy"], "steps": 10}

    return demo_plan(tmp_path, "polar_mae", change=change)


@pytest.fixture
def view(plan, tmp_path):
    """The system with metrics of every run: pretrained above random except for Michel, where the seeds disagree."""
    workspace = Workspace(tmp_path)
    for name, run in plan.runs.items():
        common = {"run": name, "task": run.task, "split": "test", "n_labels": run.n_labels or -1, "seed": run.seed}
        good = "-polar_mae" in run.slug
        rows = []
        if run.task == "semantic":
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
            short = run.pretrained is not None and "steps12" in run.pretrained
            tasks = {"probe": 0.6 if run.pretrained is None else 0.65 if short else 0.7}
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
        else:
            log = pd.DataFrame(
                {"step": [0, 30, 60], "split": "validation", "loss": [1.0, 0.5, 0.4], "probe_f1": [0.2, 0.3, 0.4]}
            )
            log = log.assign(**{f"probe_f1_{c}": log["probe_f1"] for c in CLASSES[1:]})
            with atomic(workspace.run(name) / "log.parquet") as temporary:
                log.to_parquet(temporary)
            rows.append({**common, "metric": "loss", "value": 0.4})
        write_metrics(workspace.metrics(name), rows)
    return view_of(plan, tmp_path)


def test_every_score_of_table_7_stands_beside_the_paper(view, tmp_path):
    task = tasks_of(view)["semantic"]
    items = named([*curve_items(task), *score_table(task), *class_tables(task), *calibration_items(task)])
    assert {"labels-semantic", "precision-semantic", "calibration-semantic"} <= set(items)
    assert "SPINE's sparse U-Net, 100k labels (paper)" in items["precision-semantic"].html  # beyond ours: a line
    for metric in ("f1", "precision", "recall", "iou"):
        table = items[f"table-semantic-{metric}"]
        for system in ("PoLAr-MAE, frozen", "from scratch", "sparse U-Net"):
            for n in ("10", "100"):
                trained, tuned = (row(table, system + more, labels=n) for more in ("", ", decision tuned"))
                assert float(tuned[0].split()[0]) == pytest.approx(float(trained[0].split()[0]) + 0.07, abs=2e-3)
        assert sum(name.endswith("(paper)") for name in table_of(table).index) == (0 if metric == "iou" else 4)
    precision = items["table-semantic-precision"]
    first, second = list(zip(table_of(precision).index, table_of(precision)["labels"], strict=True))[:2]
    assert second == (f"{first[0]}, decision tuned", first[1])  # the tuned row stands below its own
    published = table_of(precision).loc["PoLAr-MAE, fine-tuned (paper)", ["mean", "track", "shower", "delta", "Michel"]]
    assert list(published) == ["0.779", "0.996", "0.997", "0.402", "0.720"]
    assert table_of(items["table-semantic"]).loc["PoLAr-MAE, fine-tuned", "macro F1, paper"].tolist() == ["0.837"] * 2
    gains = table_of(items["calibration-semantic"]).drop(columns="labels")
    assert gains.map(lambda value: value.startswith("0.070")).all(axis=None)
    assert (tmp_path / "figures" / "precision-semantic.png").exists()


def test_published_scores_are_consistent():
    for scores in SEGMENTATION.values():
        for values in scores.values():
            classes = [values[c] for c in ("track", "shower", "delta", "Michel")]
            assert values[""] == pytest.approx(sum(classes) / 4, abs=2e-3)
        for c in ("track", "shower"):
            p, r = scores["precision"][c], scores["recall"][c]
            assert scores["f1"][c] == pytest.approx(2 * p * r / (p + r), abs=3e-3)


def test_probes_of_short_and_full_trainings_with_the_curve(view):
    curve, table = probe_items(view)
    assert curve.name == "probe-curve"
    assert row(table, "PoLAr-MAE (here)", steps="12")[0].startswith("0.650")
    assert row(table, "PoLAr-MAE (here)", steps="60")[0].startswith("0.700")
    assert row(table, "random weights (here)", steps="0")[0].startswith("0.600")
    assert row(table, "Point-MAE (paper, PILArNet-M)", steps="100 000")[0] == "0.680"


def test_studies_name_steps_and_stand_beside_table_4(view, plan, tmp_path):
    knn = next(p.run for p in plan.studies["polar_mae.grouping_probe"].points if p.value == "fps_knn")
    shares = {
        "missed_share": 0.125,
        "capped_share": 0.25,
        "duplicated_share": 0.0625,
        "tokens_per_event": {"mean": 92.0},
    }
    path = Workspace(tmp_path).cache_manifest(plan.runs[knn].cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"statistics": shares})
    items = named(probe_study_items(view))
    table = table_of(items["grouping"])
    counted = table[["tokens per event", "missed", "duplicated"]]
    assert counted.loc["FPS + kNN (here)"].tolist() == ["92.000", "0.375", "0.062"]
    assert counted.loc["C-NMS + ball query, f = 0.73 (here)"].tolist() == ["–"] * 3  # no cache
    assert row(items["grouping"], "FPS + kNN (here)", steps="10")
    assert row(items["grouping"], "FPS + kNN (paper, PILArNet-M)", steps="100 000")[0] == "0.469"
    assert list(table_of(items["variants"]).index) == ["base (here)", "group_energy (here)"]


def test_what_is_not_above_is_named(view):
    items = named(paired_items(view))
    said = items["is-it-above"]
    above, below, zero, single, enough = row(
        said, "Semantic segmentation: PoLAr-MAE, frozen against sparse U-Net", labels="10"
    )
    for name in ("macro F1", "shower", "track", "delta"):
        assert name in above.split(", ")
    assert (below, zero, single) == ("–", "Michel", "–")
    tuned = "Semantic segmentation, decision tuned on validation events: PoLAr-MAE, frozen against sparse U-Net"
    assert tuned in table_of(said).index
    assert enough == "no"  # three seeds, unknown number of events
    single = row(said, "Probe of frozen tokens: PoLAr-MAE against random weights", labels="")[3]
    assert single == "macro F1, shower, track, Michel, delta"
    probe = items["above-probe"]
    assert "PoLAr-MAE against PoLAr-MAE, 12 steps" in table_of(probe).index
    assert row(probe, "PoLAr-MAE against random weights", labels="")[2].startswith("? +0.100")


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
    view = view_of(plan, tmp_path)
    rows = {"step": [0, 30], "split": "validation", "chamfer": [1.0, 0.5]}
    both = {p.value: p for p in view.studies["pretrain"].points}
    logs = {
        both["polar_mae"].run: pd.DataFrame(rows | {"energy": [0.4, 0.2]}),
        both["point_mae"].run: pd.DataFrame(rows),
    }
    (item,) = loss_items(view, list(both.values()), logs)
    assert "chamfer loss" in item.html
    assert "signal loss" in item.html
    (item,) = loss_items(view, [both["point_mae"]], logs)
    assert "signal loss" not in item.html.split(">", 1)[1]
    assert loss_items(view, [], {}) == []


def test_shares_are_never_written_with_powers_of_ten():
    assert share_with_interval(0.0004, float("nan"), float("nan")) == "0.000"
    assert "10<sup>" not in share_with_interval(0.2, 0.0002, 0.4)
