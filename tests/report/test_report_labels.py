"""Tables of the collider tasks: comparison systems stand beside the adapters with cost, how training ended and the published numbers."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tpcfm.config.load import read_yaml, validate
from tpcfm.config.plan import make_plan
from tpcfm.evaluate.table import write_metrics
from tpcfm.report.labels import SYSTEMS, adapter_items
from tpcfm.report.page import left_out
from tpcfm.report.style import Sheet
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
        if entry.stage == "baseline" and entry.family == "fm4npp":
            rows += [{**common, "metric": m, "split": "", "value": v} for m, v in {**COSTS, **costs}.items()]
        space.run(run).mkdir(parents=True)
        write_metrics(space.run(run) / "metrics.parquet", rows)


def rows_of(item):
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", item.html)]
    head = re.findall(r"<th>(.*?)</th>", item.html)
    return pd.DataFrame([row for row in cells if row], columns=head).set_index("system")


@pytest.mark.parametrize(("stopped", "word"), [(1.0, "plateau"), (0.0, "budget")])
def test_comparison_systems_stand_beside_the_adapters(plan, tmp_path, stopped, word):
    write(plan, stopped_early=stopped)
    items = {item.name: item for item in adapter_items(plan, Sheet(tmp_path / "figures", "demo"))}
    table = rows_of(items["table-pid"])
    for system in ("SAGE", "voxel U-Net with queries"):
        row = table.loc[f"{system} (here)"]
        assert row["labels"] == "100"
        assert (row["accuracy"], row["parameters"], row["events/s"]) == ("0.700", "1.25 M", "33.000")
        assert row["ended by"] == word
    assert table.loc["SAGEConv (paper, TPCpp-10M)", "parameters"] == "0.91 M"
    assert table.loc["OneFormer3D (paper, TPCpp-10M)", "parameters"] == "44.95 M"
    assert {"adapter only (here)", "m1 pretrained (here)", "majority class (here)"} <= set(table.index)


def test_left_out_names_the_systems_that_are_not_trained(plan):
    missing = left_out(plan)
    assert "comparison system GCN" in missing
    assert "comparison system SAGE" not in missing
    assert "noise with comparison systems" in missing
    plan.config["fm4npp"]["baselines"] = None
    assert all(f"comparison system {name}" in left_out(plan) for name in SYSTEMS.values())
