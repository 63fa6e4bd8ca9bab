"""Mixers in the report: sizes side by side; the loss of a model that sees its targets stands beside no other."""

import re
from pathlib import Path

import pytest

from tpcfm.config.text import read_yaml
from tpcfm.evaluate.study import collect_studies
from tpcfm.evaluate.table import write_metrics
from tpcfm.report.sections.mixers import mixer_items
from tpcfm.systems.registry import make_plan, validate
from tpcfm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


def plan_with(tmp_path, mixers):
    values = {**read_yaml(ROOT / "config.yaml"), "results": str(tmp_path)}
    values["fm4npp"]["ablations"]["mixers"] = mixers
    plan = make_plan(validate(values))
    for run in plan.of_experiment("ablations"):
        folder = Workspace(tmp_path).run(run)
        folder.mkdir(parents=True, exist_ok=True)
        found = {"parameters": 313_450.0, "flops": 1e12, "targets_in_view": 0.4321, "validation_loss": 0.0815}
        rows = [{"run": run, "metric": name, "value": value} for name, value in found.items()]
        write_metrics(folder / "metrics.parquet", rows)
    return plan


def test_table_of_mixers(tmp_path):
    plan = plan_with(tmp_path, ["mamba3", "bidirectional"])
    (item,) = mixer_items(plan, collect_studies(plan, ["ablations"]))
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", item.html)][1:]
    assert [row[0] for row in rows] == ["mamba2 (base)", "mamba3", "bidirectional"]
    assert [row[-1] for row in rows] == ["0.082", "0.082", "not comparable"]
    assert rows[1][2] == "+0.00 %"


@pytest.mark.parametrize("mixers", [[], ["mamba2"]])
def test_nothing_is_shown_where_nothing_is_compared(tmp_path, mixers):
    plan = plan_with(tmp_path, mixers)
    assert mixer_items(plan, collect_studies(plan, ["ablations"])) == []
