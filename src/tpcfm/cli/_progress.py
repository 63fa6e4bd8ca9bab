"""Where a run of the workflow is, a line now and then, and what it has brought: for people who do not read Snakemake's own words.

Shown when Snakemake is told to leave out its rules and its progress (``snakemake --quiet rules progress``), as ``make demo`` does.
"""

import logging
import threading
import time
from pathlib import Path
from typing import Any

from tpcfm.plan.table import Plan
from tpcfm.workspace import Workspace

EVERY_S = 15.0
SCORES = ("ari", "f1")
CHATTER = ("Select jobs to execute", "Execute ", "Using shell:", "Assuming unrestricted", "Building DAG")


class Progress(threading.Thread):
    """Prints a line when jobs have ended, at most every ``every`` seconds.

    Args:
        workflow: Snakemake's workflow; its scheduler is asked how far it is.
        total: jobs of this run.
        every: seconds.
    """

    def __init__(self, workflow: Any, total: int, every: float = EVERY_S) -> None:
        super().__init__(name="tpcfm-progress", daemon=True)
        self.workflow, self.total, self.every = workflow, total, every
        self.begun = time.monotonic()
        self.shown = -1

    def run(self) -> None:
        """Print until the workflow ends."""
        while True:
            time.sleep(self.every)
            self.show()

    def show(self) -> None:
        """Print a line, if any job has ended since the last."""
        scheduler = self.workflow.scheduler
        done = scheduler.finished_jobs
        if done == self.shown:
            return
        self.shown = done
        now = sorted({job.rule.name for job in tuple(scheduler.running)})
        print(line(done, self.total, time.monotonic() - self.begun, now), flush=True)


def line(done: int, total: int, seconds: float, now: list[str]) -> str:
    """Return one line: time, jobs done, time left if the other jobs take as long, and what runs."""
    left = f", about {clock(seconds / done * (total - done))} left" if 0 < 10 * done >= total else ""
    words = ", ".join(name.removesuffix("_run").replace("_", " ") for name in now)
    return f"{clock(seconds):>7}  {done:4} of {total} jobs{left}" + (f"  ({words})" if words else "")


def clock(seconds: float) -> str:
    """Return minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def leave_out_chatter(logger: logging.Logger) -> None:
    """Keep Snakemake's lines that say nothing of this workflow off the terminal; errors and warnings stay."""
    for handler in logger.handlers:
        handler.addFilter(
            lambda record: record.levelno > logging.INFO or not record.getMessage().lstrip().startswith(CHATTER)
        )


def summary(plan: Plan, workspace: Workspace) -> list[str]:
    """Return what was trained, the best score of each task, and what one may type next."""
    from tpcfm.evaluate.table import read_metrics

    stages = {
        "pretrain": "pretrained networks",
        "finetune": "trained heads",
        "baseline": "trained baselines",
        "probe": "probes",
    }
    counts = {words: len(plan.of_stage(stage)) for stage, words in stages.items()}
    said = ["", ", ".join(f"{n} {words}" for words, n in counts.items() if n), ""]
    rows = read_metrics(workspace.metrics(run) for run in plan.runs if workspace.metrics(run).is_file())
    rows = rows[(rows["split"] == "test") & rows["metric"].isin(SCORES) & (rows["class"].fillna("") == "")]
    for (system, task), group in rows.groupby(["system", "task"], sort=True):
        best = group.sort_values("value").iloc[-1]
        said.append(
            f"  {system}, {task}: best {best['metric'].upper()} on test events {best['value']:.2f} ({best['run']})"
        )
    runs = [run for run in plan.of_stage("finetune") if workspace.weights(run).is_file()]
    said += ["", f"Report: {workspace.report}", "Next:  tpcfm mlflow ui"]
    if runs:
        model = Path(workspace.run(sorted(runs)[0]))
        said += [f"       tpcfm show --run {model.name}", f"       tpcfm predict {model} YOUR_FILES --out predictions"]
    return said
