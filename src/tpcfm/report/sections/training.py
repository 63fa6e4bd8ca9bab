"""Section "Pretraining": loss curves, term by term where a loss has several, and what each run cost."""

import pandas as pd

from tpcfm.evaluate.table import read_metrics
from tpcfm.files import read_json
from tpcfm.plan.table import Point
from tpcfm.report.draw.style import Item, colour, legend
from tpcfm.report.names import plain
from tpcfm.report.sections.floors import draw_floor
from tpcfm.report.tables import table
from tpcfm.report.view import View

TERMS = {"chamfer": "chamfer loss of masked tokens", "energy": "signal loss of masked tokens"}
MASKED = (
    "Validation split. Chamfer: squared distance between predicted and true points of a masked token, in position over radius and scaled signal. Signal: "
    "mean squared error of scaled signals at given positions, the second task of PoLAr-MAE (arXiv 2502.02558, Sec. 3)."
)
NEIGHBOURS = (
    "Mean squared error of neighbour coordinates on the validation split; other objectives are in the ablations."
)


def training_items(view: View) -> list[Item]:
    """Return loss curves and the table of runs."""
    study = view.studies.get("pretrain")
    points = study.points if study else []
    paths = {p.run: view.workspace.run(p.run) / "log.parquet" for p in points}
    logs = {run: pd.read_parquet(path) for run, path in paths.items() if path.exists()}
    return [*loss_items(view, [p for p in points if p.run in logs], logs), *_runs_table(view)]


def loss_items(view: View, points: list[Point], logs: dict[str, pd.DataFrame]) -> list[Item]:
    """Return validation losses against step, one panel per term that any run has; the loss itself where there are no terms.

    Args:
        view: the system.
        points: pretraining runs that have a log.
        logs: by run.
    """
    if not points:
        return []
    terms = {t: name for t, name in TERMS.items() if any(t in logs[p.run] for p in points)}
    panels = terms or {"loss": "validation loss"}
    figure, grid = view.sheet.axes(len(panels), width=4.8, height=3.1, squeeze=False)
    names = list(dict.fromkeys(p.value for p in points))
    for axes, (term, label) in zip(grid[0], panels.items(), strict=True):
        shown = set()
        for point in points:
            log = logs[point.run]
            if term not in log:
                continue
            rows = log[(log["split"] == "validation") & log[term].notna()]
            style = {"color": colour(names.index(point.value)), "marker": "o", "markersize": 3}
            axes.plot(rows["step"], rows[term], label=None if point.value in shown else plain(point.value), **style)
            shown.add(point.value)
        if terms:
            axes.set_ylim(bottom=0)
        else:
            draw_floor(axes, read_metrics([view.workspace.metrics(p.run) for p in points]))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(label)
        legend(axes)
    return [view.sheet.finish(figure, "loss", "Validation loss", MASKED if terms else NEIGHBOURS, wide=len(terms) > 1)]


def _runs_table(view: View) -> list[Item]:
    rows = []
    for run in sorted({r for s in view.studies.values() for r in s.runs if view.plan.runs[r].stage == "pretrain"}):
        if not view.workspace.record(run).exists():
            continue
        record, entry = read_json(view.workspace.record(run)), view.plan.runs[run]
        train = entry.config["train"]
        seconds = record.get("seconds") or record.get("timings", {}).get("seconds")
        rows.append([run, entry.config["model"]["width"], train["steps"], train["batch_size"], seconds])
    if not rows:
        return []
    head = ["run", "width", "steps", "events per step", "training time (s)"]
    text = "Settings, versions, hardware and logs of each lie in its run folder."
    return [table(view.sheet, "runs", "Pretraining runs", head, rows, text)]
