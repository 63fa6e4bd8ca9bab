"""Section "Pretraining": loss curves, probes, what each run cost."""

import pandas as pd

from tpcfm.evaluate.table import read_metrics
from tpcfm.files import read_json
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet, colour, legend
from tpcfm.report.sections.floors import draw_floor
from tpcfm.report.sections.masked_losses import masked_loss_items
from tpcfm.report.sections.probes import probe_items
from tpcfm.report.tables import table
from tpcfm.workspace import Workspace


def histories(plan: Plan, workspace: Workspace, stage: str = "pretrain") -> dict[str, pd.DataFrame]:
    """Return the training log of every run of a stage that has one."""
    paths = {run: workspace.run(run) / "log.parquet" for run in plan.of_stage(stage)}
    return {run: pd.read_parquet(path) for run, path in paths.items() if path.exists()}


def training_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return loss curves of both families, probe F1 and the table of runs."""
    logs = histories(plan, workspace)
    items = masked_loss_items(plan, logs, sheet)
    titles = {
        "fm4npp": ("FM4NPP: validation loss", "Mean squared error of neighbour coordinates on the validation split; other objectives are in the ablations."),
    }  # fmt: skip
    for family, (title, caption) in titles.items():
        study = plan.studies.get(f"pretrain_{family}")
        runs = [p for p in study.points if p.run in logs] if study else []
        if not runs:
            continue
        figure, axes = sheet.axes(width=5.6, height=3.2)
        for index, value in enumerate(dict.fromkeys(p.value for p in runs)):
            for number, point in enumerate(p for p in runs if p.value == value):
                log = logs[point.run]
                rows = log[(log["split"] == "validation") & log["loss"].notna()]
                label = value if number == 0 else None
                axes.plot(rows["step"], rows["loss"], color=colour(index), marker="o", markersize=3, label=label)
        if family == "fm4npp":
            draw_floor(axes, read_metrics([workspace.run(p.run) / "metrics.parquet" for p in runs]))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("validation loss")
        legend(axes)
        items.append(sheet.finish(figure, f"loss-{family}", title, caption))
    items += probe_items(plan, workspace, sheet)
    items.append(_runs_table(plan, workspace))
    return items


def _runs_table(plan: Plan, workspace: Workspace) -> Item:
    rows = []
    for run in plan.of_stage("pretrain"):
        path = workspace.run(run) / "run.json"
        if not path.exists():
            continue
        record = read_json(path)
        entry = plan.runs[run]
        train = entry.config["train"]
        seconds = record.get("seconds") or record.get("timings", {}).get("seconds")
        rows.append([run, entry.config["model"]["width"], train["steps"], train["batch_size"], seconds])
    head = ["run", "width", "steps", "events per step", "training time (s)"]
    return table(
        "runs", "Pretraining runs", head, rows, "Settings, versions, hardware and logs of each lie in its run folder."
    )
