"""Keep the results of a scale: small tables and figures, with the command, the versions and the machine that made them.

    python tools/reference.py results/study/plan/<hash>.json results/reference/study --command "snakemake ..."

Takes what is finished: comparisons, mean scores, fits and figures; says which runs of the plan are missing.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tpcfm import __version__
from tpcfm.evaluate.comparisons import Pair, compare_plan, standard_pairs
from tpcfm.evaluate.paired import SCORES
from tpcfm.plan.table import Plan
from tpcfm.workspace import Workspace

FIGURES = 120  # kB of the largest figure that is kept


def finished(plan: Plan, workspace: Workspace) -> pd.DataFrame:
    """Return the metrics of all finished runs."""
    frames = [pd.read_parquet(p) for run in plan.runs if (p := workspace.metrics(run)).exists()]
    return pd.concat(frames, ignore_index=True)


def finished_pairs(plan: Plan, workspace: Workspace) -> list[Pair]:
    """Return the standard comparisons with the label counts at which all runs of both groups are finished."""

    def complete(runs: Iterable[str]) -> set[int | None]:
        missing = {plan.runs[r].n_labels for r in runs if not (workspace.metrics(r)).exists()}
        return {plan.runs[r].n_labels for r in runs} - missing

    pairs = []
    for pair in standard_pairs(plan):
        first, second = complete(pair.first_runs), complete(pair.second_runs)
        kept = [
            tuple(r for r in runs if plan.runs[r].n_labels in first & second)
            for runs in (pair.first_runs, pair.second_runs)
        ]
        if all(kept):
            pairs.append(replace(pair, first_runs=kept[0], second_runs=kept[1]))
    return pairs


def means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean and spread over seeds of every score, one row per group of runs, task, score, class and label count."""
    rows = frame[frame["metric"].isin(SCORES) & frame["split"].isin(["test", ""])].copy()
    rows["runs"] = rows["run"].str.replace(r"(-\d+)?(-s\d+)?-[0-9a-f]{8}$", "", regex=True)
    keys = ["task", "runs", "n_labels", "metric", "class"]
    found = rows.groupby(keys)["value"].agg(["mean", "std", "count"]).reset_index()
    return found.rename(columns={"std": "deviation over seeds", "count": "values"})


def markdown(frame: pd.DataFrame, digits: int = 4) -> str:
    """Return a Markdown table."""

    def cell(value: object) -> str:
        return f"{value:.{digits}g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def fits(plan: Plan, workspace: Workspace) -> pd.DataFrame:
    """Return the scaling laws of this plan: a folder of results may also hold those of another plan over the same runs."""
    path = workspace.study_table("scaling", "fits")
    laws = pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=["system", "study"])
    own = {(s.system, s.name) for s in plan.studies.values() if s.name.startswith("scaling_") and len(s.points) > 2}
    return laws[[pair in own for pair in zip(laws["system"], laws["study"], strict=True)]]


def page(plan: Plan, command: str, table: pd.DataFrame, compared: pd.DataFrame, workspace: Workspace) -> Iterator[str]:
    """Yield the parts of the page."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    done = set(table["run"])
    missing = sorted(set(plan.runs) - done)
    yield f"# Results of the scale `{plan.config['scale']}`\n"
    yield "Simulated events of both detectors, not PILArNet-M or TPCpp-10M: nothing here may be read as a score on those.\n"
    yield f"    {command}\n"
    yield (
        f"tpcfm {__version__}, revision {revision.stdout.strip() or 'unknown'}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {len(done)} of {len(plan.runs)} runs finished."
    )
    if missing:
        yield f"\nNot finished: {', '.join(f'`{m}`' for m in missing)}."
    yield "\n## Is it above?\n"
    yield "Paired differences (first minus second), 95 % intervals; `over` says what they cover, `enough` at least 5 seeds and 200 events.\n"
    columns = [
        "system",
        "comparison",
        "task",
        "metric",
        "class",
        "n_labels",
        "first",
        "second",
        "difference",
        "low",
        "high",
    ]
    columns += ["verdict", "seeds", "events", "enough"]
    chosen = compared[~compared["metric"].str.contains("precision|recall|iou|purity")]
    shown = chosen[[c for c in columns if c in chosen]].copy()
    shown["n_labels"] = shown["n_labels"].where(shown["n_labels"] >= 0, "")
    yield markdown(shown, 3)
    yield "\nAll of them, precision and recall too: `comparisons.csv`; means over seeds: `scores.csv`.\n"
    pretraining = table[(table["task"] == "pretrain") & table["class"].eq("")]
    yield "## Pretraining\n"
    wide = pretraining.pivot_table(index="run", columns="metric", values="value").reset_index()
    names = ["run", "parameters", "points_seen", "flops", "validation_loss", "floor_own_position", "floor_mean"]
    names += ["loss", "chamfer", "energy", "probe_f1"]
    yield markdown(wide[[c for c in names if c in wide]].fillna(""))
    if len(laws := fits(plan, workspace)):
        yield "\n## Scaling laws\n"
        yield markdown(laws)
    cost = sum(json.loads(p.read_text()).get("seconds", 0.0) for run in done if (p := workspace.record(run)).exists())
    yield f"\nTraining took {cost / 3600:.1f} hours of one core, all finished runs together."


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--command", required=True, help="the command that made the results")
    given = parser.parse_args()
    plan = Plan.read(given.plan)
    workspace = Workspace(Path(plan.config["results"]))
    table = finished(plan, workspace)
    compared = compare_plan(plan, finished_pairs(plan, workspace))
    given.out.mkdir(parents=True, exist_ok=True)
    compared.to_csv(given.out / "comparisons.csv", index=False, float_format="%.5g")
    means(table).to_csv(given.out / "scores.csv", index=False, float_format="%.5g")
    (given.out / "README.md").write_text("\n".join(page(plan, given.command, table, compared, workspace)) + "\n")
    for figure in sorted((workspace.root / "report" / "figures").glob("*.png")):
        if "-scaling" in figure.name and fits(plan, workspace).empty:
            continue
        if figure.stat().st_size < FIGURES * 1024 and not figure.name.startswith(("data-", "groups-")):
            shutil.copy(figure, given.out / figure.name)
    print(f"{given.out}: {table['run'].nunique()} runs, {len(compared)} comparisons")


if __name__ == "__main__":
    main()
