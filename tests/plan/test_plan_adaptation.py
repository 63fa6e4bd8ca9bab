"""Heads that train their backbones are planned beside the frozen ones, which keep their ids; the report sets them side by side."""

from pathlib import Path

import pytest

from pages import named, table_of, view_of
from plans import planned, setting
from tpcfm.config.text import merge
from tpcfm.evaluate.table import write_metrics
from tpcfm.plan.table import Plan
from tpcfm.report.sections.adaptation import adaptation_items
from tpcfm.report.sections.labels import label_items
from tpcfm.workspace import Workspace

WAYS = ["frozen", "last", "lora", "full"]
OVER = merge(
    setting("systems.fm4npp.adapters.modes", WAYS),
    setting("systems.polar_mae.heads.modes", ["peft", "last", "lora", "full"]),
)
COSTS = {"parameters": 1234.0, "training_megabytes": 5.5, "training_seconds": 12.0}


@pytest.fixture(scope="module")
def plans() -> tuple[Plan, Plan]:
    """Of the demo, and with every way to train a backbone."""
    return planned(), planned(OVER)


def test_frozen_heads_keep_their_ids_and_the_others_stand_in_the_same_study(plans: tuple[Plan, Plan]) -> None:
    before, after = plans
    assert set(before.runs) < set(after.runs)
    new = [run for name, run in after.runs.items() if name not in before.runs]
    assert {run.config["mode"] for run in new} == {"last", "lora", "full"}  # of polar_mae, full stands in the demo
    assert all(f"-{run.config['mode']}-" in run.id for run in new)
    points = {point.value for point in after.studies["fm4npp.heads_track"].points}
    assert {
        "m1 pretrained",
        "m1 pretrained, last blocks",
        "m1 pretrained, low rank",
        "m1 pretrained, fine-tuned",
    } <= points
    assert not any(name.startswith("m1 adapter only,") for name in points)
    changed = planned(merge(OVER, setting("systems.fm4npp.adapters.tuning.rank", 4)))
    assert set(before.runs) < set(changed.runs)
    assert {run.config["mode"] for name, run in after.runs.items() if name not in changed.runs} == {
        "last",
        "lora",
        "full",
    }


@pytest.mark.parametrize("system", ["fm4npp", "polar_mae"])
def test_scores_stand_beside_trained_weights_memory_and_time(
    plans: tuple[Plan, Plan], tmp_path: Path, system: str
) -> None:
    for plan, shown in zip(plans, (False, True), strict=True):
        plan.config["results"] = str(tmp_path)
        for run in plan.of_experiment("finetune", "baselines"):
            entry = plan.runs[run]
            common = {"run": run, "task": entry.task, "n_labels": entry.n_labels}
            scores = {"accuracy": 0.7, "f1": 0.6, "ari": 0.8}
            rows = [{**common, "metric": m, "split": "test", "value": v} for m, v in scores.items()]
            write_metrics(
                Workspace(tmp_path).metrics(run),
                rows + [{**common, "metric": m, "split": "", "value": v} for m, v in COSTS.items()],
            )
        view = view_of(plan, tmp_path, system)
        task = view.tasks()[0]
        items = adaptation_items(task)
        assert bool(items) == shown
        if not shown:
            continue
        table = table_of(items[0])
        wanted = (
            {"PoLAr-MAE, frozen", "PoLAr-MAE, low rank"}
            if system == "polar_mae"
            else {"m1 pretrained", "m1 pretrained, low rank"}
        )
        assert wanted <= set(table.index)
        assert {"1,234", "5.5", "12.0"} <= {str(cell) for cell in table.iloc[0]}
        assert items[0].name in named(label_items(view))
