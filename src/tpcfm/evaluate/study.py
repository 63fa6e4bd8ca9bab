"""Metrics of the runs of a study, with the value of the thing it varies beside each."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tpcfm.evaluate.table import read_metrics
from tpcfm.plan.table import Plan
from tpcfm.workspace import Workspace


def collect_studies(plan: Plan | str | Path, experiments: Sequence[str] = ()) -> pd.DataFrame:
    """Return the metrics table of every run of the experiments, with ``system study experiment axis point`` added.

    Args:
        plan: a plan or its file.
        experiments: names to take (see ``Study.experiment``); none takes all.
    """
    table = plan if isinstance(plan, Plan) else Plan.read(plan)
    workspace = Workspace(Path(table.config["results"]))
    points = [
        {
            "system": study.system,
            "study": study.name,
            "experiment": study.experiment,
            "axis": p.axis,
            "point": p.value,
            "run": p.run,
        }
        for study in table.studies.values()
        if not experiments or study.experiment in experiments
        for p in study.points
    ]
    if not points:
        return read_metrics([]).assign(system="", study="", experiment="", axis="", point="")
    frame = pd.DataFrame(points)
    metrics = read_metrics(workspace.metrics(run) for run in frame["run"].unique())
    return frame.merge(metrics.drop(columns="system"), on="run", how="left")  # equal work of two systems is one run
