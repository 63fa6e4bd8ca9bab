"""Tables of the collider tasks: comparison systems stand beside the adapters with cost, how training ended and the published numbers."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tpcfm.config.text import read_yaml
from tpcfm.detectors.sphenix import NOISE, PID
from tpcfm.evaluate.table import write_metrics
from tpcfm.models.baselines.settings import GraphNetConfig
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.report.page import left_out
from tpcfm.report.published import numbers as published
from tpcfm.report.sections.comparison import _ended, comparison_tables, reduced
from tpcfm.report.sections.labels import SYSTEMS
from tpcfm.systems.baselines.find_tracks import choice_name
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackSystem
from tpcfm.systems.registry import make_plan, validate
from tpcfm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
VALUES = {
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
    return make_plan(validate({**read_yaml(ROOT / "config.yaml"), "results": str(tmp_path)}))


def write(plan, **costs):
    space = Workspace(Path(plan.config["results"]))
    for run in plan.of_experiment("finetune", "baselines"):
        entry = plan.runs[run]
        common = {"run": run, "task": entry.task, "n_labels": entry.n_labels}
        rows = [{**common, "metric": m, "split": "test", "value": v} for m, v in VALUES.items()]
        if entry.task in ("pid", "noise"):
            rows.append({**common, "metric": "f1_calibrated", "split": "test", "value": 0.45})
        for name in (PID if entry.task == "pid" else NOISE).values():
            by_class = {**common, "split": "test", "class": name}
            rows += [{**by_class, "metric": m, "value": v} for m, v in {"recall": 0.75, "precision": 0.25}.items()]
        if entry.stage == "baseline" and entry.family == "fm4npp":
            rows += [{**common, "metric": m, "split": "", "value": v} for m, v in {**COSTS, **costs}.items()]
        space.run(run).mkdir(parents=True)
        write_metrics(space.run(run) / "metrics.parquet", rows)


def rows_of(item):
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", item.html)]
    head = re.findall(r"<th>(.*?)</th>", item.html)
    return pd.DataFrame([row for row in cells if row], columns=head).set_index("system")


def rows_with_labels(item, system):
    table = rows_of(item)
    return table[(table.index == system) & (table["labels"] == "100")].iloc[0]


@pytest.mark.parametrize(("stopped", "word"), [(1.0, "plateau"), (0.0, "budget")])
def test_comparison_systems_stand_beside_the_adapters_and_the_paper(plan, stopped, word):
    write(plan, stopped_early=stopped)
    items = {item.name: item for item in comparison_tables(plan)}
    scores, costs = rows_of(items["table-pid"]), items["table-pid-cost"]
    for system, paper, size in (("SAGE", "0.726", "0.91 M"), ("voxel U-Net with queries", "0.770", "44.95 M")):
        row = rows_with_labels(items["table-pid"], system)
        assert (row["accuracy"], row["accuracy, paper"], row["seeds"]) == ("0.700", paper, "1")
        row = rows_with_labels(costs, system)
        assert (row["parameters"], row["parameters, paper"], row["events/s"]) == ("1.25 M", size, "33.000")
        assert row["ended by"] == word
    assert rows_with_labels(costs, "SAGE")["reduced"] == "width 64 (256)"
    assert rows_with_labels(items["table-pid"], "adapter only")["accuracy, paper"] == "0.663"
    assert {"m1 pretrained", "FM4NPP m6 (paper)", "GATConv (paper)"} <= set(scores.index)
    assert "SAGEConv (paper)" not in scores.index  # stands beside ours
    floor = scores.loc["majority class"]
    assert (floor["accuracy"], floor["accuracy, paper"]) == ("0.600", "0.583")
    assert rows_of(items["table-noise"]).loc["majority class", "accuracy, paper"] == "0.887"


def test_tables_by_class_and_of_points(plan):
    write(plan)
    items = {item.name: item for item in comparison_tables(plan)}
    table = rows_of(items["table-pid-classes"])
    row = table[(table.index == "SAGE") & (table.iloc[:, 1] == "precision")].iloc[0]
    assert row["proton"].startswith("0.250")
    assert "paper 0.707" in row["proton"]
    points = rows_of(items["table-tracks-points"])
    assert points.loc["EggNet", "spacepoint efficiency, paper"] == "0.930"
    assert points.loc["EggNet", "spacepoint efficiency"] == "0.900"


def test_calibrated_decisions_have_a_column_without_published_values(plan):
    write(plan)
    items = {item.name: item for item in comparison_tables(plan)}
    for name in ("table-pid", "table-noise"):
        scores = rows_of(items[name])
        assert rows_with_labels(items[name], "SAGE")["macro F1, calibrated"] == "0.450"
        assert scores.loc["majority class", "macro F1, calibrated"] == "–"
        assert scores.loc["FM4NPP m6 (paper)", "macro F1, calibrated"] == "–"
    assert "macro F1, calibrated" not in rows_of(items["table-tracks"]).columns


def test_published_clusterings_stand_beside_the_paper(plan):
    write(plan)
    assert "table-tracks-given" not in {item.name for item in comparison_tables(plan)}
    for run in plan.of_experiment("baselines"):
        if plan.runs[run].task == "tracks" and plan.runs[run].config["model"] == "eggnet":
            path = Workspace(Path(plan.config["results"])).run(run) / "metrics.parquet"
            given = {"run": run, "task": "tracks", "n_labels": 100, "split": "test", "class": "eps 1, min_samples 2"}
            rows = pd.read_parquet(path).to_dict("records")
            write_metrics(
                path, [*rows, *({**given, "metric": m, "value": 0.3} for m in ("ari", "efficiency", "purity"))]
            )
    items = {item.name: item for item in comparison_tables(plan)}
    row = rows_of(items["table-tracks-given"]).loc["EggNet"]
    assert (row["clustering"], row["ARI"], row["ARI, paper"], row["purity, paper"]) == (
        "eps 1, min samples 2",
        "0.300",
        "0.726",
        "0.751",
    )
    assert rows_with_labels(items["table-tracks"], "EggNet")["ARI"] == "0.800"


def test_every_published_clustering_is_one_that_the_systems_score():
    train = {"steps": 1, "batch_size": 1}
    found = set()
    for model, block in (("eggnet", EggNetConfig()), ("exatrkx", ExaTrkxConfig()), ("hept", HeptConfig())):
        config = {"model": model, "n_labels": 1, "train": train, model: block}
        found |= {
            (SYSTEMS[model], choice_name(c)) for c in TrackSystem(TrackBaselineConfig.model_validate(config)).published
        }
    assert found == set(published.CLUSTERINGS)


def test_a_system_without_weights_has_no_size(plan):
    write(plan, parameters=0.0)
    items = {item.name: item for item in comparison_tables(plan)}
    assert rows_of(items["table-tracks-cost"]).loc["Kalman filter", "parameters"] == "none"


def test_a_clustering_at_the_edge_of_its_grid_is_marked(plan):
    write(plan, tuned_at_edge=1.0)
    items = {item.name: item for item in comparison_tables(plan)}
    assert (
        rows_with_labels(items["table-tracks-cost"], "EggNet")["clustering or decision"]
        == "tuned at the edge of the grid"
    )


def test_the_ending_counts_seeds():
    assert _ended(2 / 3, 3) == "budget (1 of 3)"
    assert (_ended(1.0, 3), _ended(0.0, 3)) == ("plateau", "budget")


def test_sizes_of_the_paper_are_not_reduced():
    assert reduced({"graph": GraphNetConfig().model_dump(mode="json")}) == ""
    changed = HeptConfig(heads=4, min_cluster=[5]).model_dump(mode="json")
    assert reduced({"hept": changed}) == "heads 4 (8)"


def test_left_out_names_the_systems_that_are_not_trained(plan):
    missing = left_out(plan)
    assert "comparison system GCN" in missing
    assert "comparison system SAGE" not in missing
    plan.config["fm4npp"]["baselines"] = None
    assert all(f"comparison system {name}" in left_out(plan) for name in SYSTEMS.values())
