"""Tables of the collider tasks: baselines stand beside the adapters with cost, how training ended and the published numbers."""

import pandas as pd
import pytest

from pages import demo_plan, named, table_of, view_of
from tpcfm.detectors.registry import load_detector
from tpcfm.evaluate.table import write_metrics
from tpcfm.models.baselines.settings import GraphNetConfig
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.report.names import BASELINES
from tpcfm.report.page import left_out
from tpcfm.report.published import fm4npp as published
from tpcfm.report.published.sizes import reduced
from tpcfm.report.sections.label_costs import ended
from tpcfm.report.sections.labels import label_items
from tpcfm.systems.baselines.find_tracks import choice_name
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackSystem
from tpcfm.workspace import Workspace

SPHENIX = load_detector("sphenix")
CLASSES = SPHENIX.classes()
VALUES = {
    "ari_pooled": 0.55,
    "efficiency_min_size": 0.75,
    "purity_min_size": 0.65,
    "accuracy": 0.7,
    "recall": 0.4,
    "precision": 0.5,
    "majority": 0.6,
    "ari": 0.8,
    "efficiency": 0.7,
    "purity": 0.6,
    "spacepoint_efficiency": 0.9,
    "spacepoint_purity": 0.95,
}
COSTS = {"parameters": 1.25e6, "training_seconds": 12.0, "events_per_second": 33.0, "stopped_early": 1.0}


@pytest.fixture
def plan(tmp_path):
    return demo_plan(tmp_path, "fm4npp")


@pytest.fixture
def items(plan, tmp_path):
    """Return a function that gives the items of the section, after other costs were written."""

    def make(**costs):
        write(plan, tmp_path, **costs)
        return named(label_items(view_of(plan, tmp_path)))

    return make


def write(plan, folder, **costs):
    for run in plan.of_experiment("finetune", "baselines"):
        entry = plan.runs[run]
        common = {"run": run, "task": entry.task, "n_labels": entry.n_labels}
        rows = [{**common, "metric": m, "split": "test", "value": v} for m, v in VALUES.items()]
        if entry.task in CLASSES:
            rows.append({**common, "metric": "f1_calibrated", "split": "test", "value": 0.45})
            by_class = [{**common, "split": "test", "class": name} for name in CLASSES[entry.task].names]
            scores = {"recall": 0.75, "precision": 0.25}
            rows += [{**one, "metric": m, "value": v} for one in by_class for m, v in scores.items()]
        if entry.stage == "baseline":
            rows += [{**common, "metric": m, "split": "", "value": v} for m, v in {**COSTS, **costs}.items()]
        write_metrics(Workspace(folder).metrics(run), rows)


def with_labels(item, system):
    table = table_of(item)
    return table[(table.index == system) & (table["labels"] == "100")].iloc[0]


@pytest.mark.parametrize(("stopped", "word"), [(1.0, "plateau"), (0.0, "budget")])
def test_comparison_systems_stand_beside_the_adapters_and_the_paper(items, stopped, word):
    found = items(stopped_early=stopped)
    scores, costs = table_of(found["table-pid"]), found["table-pid-cost"]
    for system, paper, size in (("SAGE", "0.726", "0.91 M"), ("voxel U-Net with queries", "0.770", "44.95 M")):
        line = with_labels(found["table-pid"], system)
        assert (line["accuracy"], line["accuracy, paper"], line["seeds"]) == ("0.700", paper, "1")
        line = with_labels(costs, system)
        assert (line["parameters"], line["parameters, paper"], line["events/s"]) == ("1.25 M", size, "33.000")
        assert line["ended by"] == word
    assert with_labels(costs, "SAGE")["reduced"] == "width 64 (256)"
    # The published control is as wide as m6: it stands beside none of a smaller width.
    assert with_labels(found["table-pid"], "m2 adapter only")["accuracy, paper"] == "–"
    assert scores.loc["adapter only (paper)", "accuracy, paper"] == "0.663"
    assert {"m1 pretrained", "FM4NPP m6 (paper)", "GATConv (paper)"} <= set(scores.index)
    assert "SAGEConv (paper)" not in scores.index  # stands beside ours
    floor = scores.loc["majority class"]
    assert (floor["accuracy"], floor["accuracy, paper"]) == ("0.600", "0.583")
    assert table_of(found["table-noise"]).loc["majority class", "accuracy, paper"] == "0.887"


def test_tables_by_class_and_of_points(items):
    found = items()
    precision = table_of(found["table-pid-precision"])
    assert precision.loc["SAGE", "proton"].startswith("0.250")
    assert precision.loc["SAGEConv (paper)", ["mean", "proton"]].tolist() == ["0.650", "0.707"]
    assert table_of(found["table-noise-recall"]).loc["OneFormer3D (paper)", "noise"] == "0.909"
    points = table_of(found["table-track-points"])
    assert points.loc["EggNet", "spacepoint efficiency, paper"] == "0.930"
    assert points.loc["EggNet", "spacepoint efficiency"] == "0.900"
    assert "HEPT (paper)" not in points.index  # has none


def test_every_track_table_has_both_means_and_the_least_sizes(items):
    line = with_labels(items()["table-track"], "EggNet")
    heads = ["ARI", "ARI, pooled", "efficiency", "efficiency, least size", "purity", "purity, least size"]
    assert line[heads].tolist()[1::2] == ["0.550", "0.750", "0.650"]


def test_calibrated_decisions_have_a_column_without_published_values(items):
    found = items()
    for name in ("table-pid", "table-noise"):
        scores = table_of(found[name])
        assert with_labels(found[name], "SAGE")["macro F1, calibrated"] == "0.450"
        assert scores.loc["majority class", "macro F1, calibrated"] == "–"
        assert scores.loc["FM4NPP m6 (paper)", "macro F1, calibrated"] == "–"
    assert "macro F1, calibrated" not in table_of(found["table-track"]).columns


def test_published_clusterings_stand_beside_the_paper(plan, items, tmp_path):
    assert "table-track-given" not in items()
    for run in plan.of_experiment("baselines"):
        if plan.runs[run].task == "track" and plan.runs[run].config["model"] == "eggnet":
            path = Workspace(tmp_path).metrics(run)
            given = {"run": run, "task": "track", "n_labels": 100, "split": "test", "class": "eps 1, min_samples 2"}
            scores = [{**given, "metric": m, "value": 0.3} for m in ("ari", "efficiency", "purity")]
            write_metrics(path, [*pd.read_parquet(path).to_dict("records"), *scores])
    found = named(label_items(view_of(plan, tmp_path)))
    line = table_of(found["table-track-given"]).loc["EggNet"]
    shown = ("clustering", "ARI", "ARI, paper", "purity, paper")
    assert [line[name] for name in shown] == ["eps 1, min samples 2", "0.300", "0.726", "0.751"]
    assert with_labels(found["table-track"], "EggNet")["ARI"] == "0.800"


def test_every_published_clustering_is_one_that_the_systems_score():
    train = {"steps": 1, "batch_size": 1}
    found = set()
    for model, block in (("eggnet", EggNetConfig()), ("exatrkx", ExaTrkxConfig()), ("hept", HeptConfig())):
        config = {"model": model, "label": "track", "n_labels": 1, "train": train, model: block}
        system = TrackSystem(TrackBaselineConfig.model_validate(config), SPHENIX)
        found |= {(BASELINES[model], choice_name(c)) for c in system.published}
    assert found == set(published.CLUSTERINGS)


def test_a_system_without_weights_has_no_size(items):
    assert table_of(items(parameters=0.0)["table-track-cost"]).loc["Kalman filter", "parameters"] == "none"


def test_a_clustering_at_the_edge_of_its_grid_is_marked(items):
    line = with_labels(items(tuned_at_edge=1.0)["table-track-cost"], "EggNet")
    assert line["clustering or decision"] == "tuned at the edge of the grid"


def test_the_ending_counts_seeds():
    assert ended(2 / 3, 3) == "budget (1 of 3)"
    assert (ended(1.0, 3), ended(0.0, 3)) == ("plateau", "budget")


def test_sizes_of_the_paper_are_not_reduced():
    assert reduced({"graph": GraphNetConfig().model_dump(mode="json")}) == ""
    changed = HeptConfig(heads=4, min_cluster=[5]).model_dump(mode="json")
    assert reduced({"hept": changed}) == "heads 4 (8)"
    assert reduced({"outputs": {"track": 0}, "width": 64, "queries": 60}) == "width 64 (256), queries 60 (150)"
    assert reduced({"outputs": {"pid": 5}, "width": 64, "queries": 60}) == "width 64 (256)"


def test_left_out_names_the_systems_that_are_not_trained(plan):
    missing = left_out(plan)["fm4npp"]
    assert {"baseline GCN", "next-token ablation", "pid at 70000 labels", "k = 5 ablation"} <= set(missing)
    assert "baseline SAGE" not in missing
    assert "coordinate check" not in missing
    plan.config["systems"]["fm4npp"]["baselines"] = {"classes": None, "instances": None}
    networks = [name for name in BASELINES.values() if name != "sparse U-Net"]
    assert all(f"baseline {name}" in left_out(plan)["fm4npp"] for name in networks)
