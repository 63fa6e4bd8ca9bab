"""Mixers in the report: sizes side by side; the loss of a model that sees its targets stands beside no other."""

import pytest

from pages import demo_plan, table_of, view_of
from tpcfm.evaluate.table import write_metrics
from tpcfm.report.sections.mixers import mixer_items
from tpcfm.workspace import Workspace


def items(tmp_path, mixers):
    def change(values):
        values["systems"]["fm4npp"]["ablations"]["mixers"] = mixers

    plan = demo_plan(tmp_path, "fm4npp", change=change)
    for run in plan.of_experiment("ablations"):
        found = {"parameters": 313_450.0, "flops": 1e12, "targets_in_view": 0.4321, "validation_loss": 0.0815}
        rows = [{"run": run, "metric": name, "split": "validation", "value": value} for name, value in found.items()]
        write_metrics(Workspace(tmp_path).metrics(run), rows)
    view = view_of(plan, tmp_path)
    return mixer_items(view, view.metrics("ablations"))


def test_table_of_mixers(tmp_path):
    (item,) = items(tmp_path, ["mamba3", "bidirectional"])
    rows = table_of(item)
    assert list(rows.index) == ["mamba2 (base)", "mamba3", "bidirectional"]
    assert list(rows["validation loss"]) == ["0.082", "0.082", "not comparable"]
    assert rows.loc["mamba3", "against base"] == "+0.00 %"


@pytest.mark.parametrize("mixers", [[], ["mamba2"]])
def test_nothing_is_shown_where_nothing_is_compared(tmp_path, mixers):
    assert items(tmp_path, mixers) == []
