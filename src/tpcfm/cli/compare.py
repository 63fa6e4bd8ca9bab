"""``tpcfm compare``: paired differences between two groups of runs, with 95 % intervals."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    tables: Annotated[
        list[Path] | None,
        typer.Argument(help="Metrics tables: of runs (metrics.parquet) or studies (finetune.parquet)."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Plan file: make every standard comparison of its finished runs.")
    ] = None,
    first: Annotated[
        str, typer.Option(help="First group: column=value,... (several values: a|b), such as point=pretrained/peft.")
    ] = "",
    second: Annotated[str, typer.Option(help="Second group, like --first.")] = "",
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs (their event_scores.parquet); default: found beside the tables."),
    ] = None,
    common_seeds: Annotated[
        bool, typer.Option(help="Compare the seeds both groups have; else different seeds are refused.")
    ] = False,
    test_events: Annotated[int, typer.Option(help="Number of test events, if there are no scores per event.")] = -1,
    out: Annotated[
        Path | None,
        typer.Option(help="Table to write: .parquet, .csv or .md (Markdown); default: Markdown on the screen."),
    ] = None,
) -> None:
    """Say whether one system is above another: paired per seed (and event), per task, score, class and label count."""
    from tpcfm.errors import ConfigError

    if out and out.suffix not in (".parquet", ".csv", ".md"):
        raise ConfigError(f"--out {out}: the name must end in .parquet, .csv or .md")
    if plan:
        if tables or first or second:
            raise ConfigError("--plan makes its own comparisons: give no tables, --first or --second with it")
        from tpcfm.plan.table import Plan

        table = Plan.read(plan)
        from tpcfm.evaluate.comparisons import compare_plan
        from tpcfm.evaluate.sources import check_results

        check_results(table)
        frame = compare_plan(table)
    else:
        frame = _groups(tables or [], first, second, runs, test_events, common_seeds)
    from tpcfm.evaluate.comparisons import markdown
    from tpcfm.files import atomic, write_text

    if out is None:
        print(markdown(frame), end="")
        return
    if out.suffix == ".md":
        write_text(out, markdown(frame))
    else:
        with atomic(out) as temporary:
            frame.to_csv(temporary, index=False) if out.suffix == ".csv" else frame.to_parquet(temporary, index=False)
    verdicts = ", ".join(f"{count} {name}" for name, count in frame["verdict"].value_counts().items())
    print(f"{out}: {len(frame)} differences: {verdicts}")


def _groups(tables: list[Path], first: str, second: str, runs: Path | None, test_events: int, common_seeds: bool):  # type: ignore[no-untyped-def]
    from tpcfm.errors import ConfigError

    if not tables or not first or not second:
        raise ConfigError("give metrics tables with --first and --second, or --plan")
    missing = [str(path) for path in tables if not path.is_file()]
    if missing:
        raise ConfigError(f"no such table: {', '.join(missing)}")
    import pandas as pd

    from tpcfm.evaluate.event_scores import NAME
    from tpcfm.evaluate.paired import compare

    frame = pd.concat([pd.read_parquet(path) for path in tables], ignore_index=True)
    events: dict[str, Path] = {}
    for path in tables:
        for folder in [runs] if runs else [path.parent.parent, path.parent.parent / "runs"]:
            files = {str(run): folder / str(run) / NAME for run in frame["run"].unique()}
            events |= {run: file for run, file in files.items() if file.is_file()}
    groups = [_choose(frame, text) for text in (first, second)]
    found = compare(*groups, events=events, test_events=test_events, common_seeds=common_seeds)
    found.insert(0, "comparison", f"{first} against {second}")
    return found


def _choose(frame, text: str):  # type: ignore[no-untyped-def]
    from tpcfm.errors import ConfigError

    rows = frame
    for term in text.split(","):
        column, sign, values = term.partition("=")
        if not sign or column not in frame.columns:
            raise ConfigError(f"group {text!r}: {term!r} is not column=value; columns: {', '.join(frame.columns)}")
        kept = rows[rows[column].astype(str).isin(values.split("|"))]
        if kept.empty:
            known = sorted(rows[column].astype(str).unique())[:40]
            raise ConfigError(f"group {text!r}: no row with {term!r}; {column} holds: {', '.join(known)}")
        rows = kept
    return rows
