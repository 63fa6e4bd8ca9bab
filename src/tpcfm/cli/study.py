"""``tpcfm study``: collect the results of the runs of a study."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Collect the results of studies.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def collect(
    plan: Path = typer.Option(..., help="Plan file."),
    experiment: list[str] = typer.Option(..., help="pretrain, scaling, ablations, finetune or baselines."),
    out: Path = typer.Option(..., help="Parquet file: the metrics table with columns study, axis, point added."),
) -> None:
    """Join the metrics of every run of the named experiments into one table."""
    from tpcfm.files import atomic, require_file

    require_file(plan, "a plan file (results/plan/<hash>.json)")
    from tpcfm.plan.table import Plan

    table = Plan.read(plan)
    from tpcfm.evaluate.sources import check_results
    from tpcfm.evaluate.study import collect_studies

    check_results(table, {run for name in experiment for run in table.of_experiment(name)})
    frame = collect_studies(table, experiment)
    with atomic(out) as temporary:
        frame.to_parquet(temporary, index=False)
    print(f"{out}: {len(frame)} values of {frame['run'].nunique()} runs in {frame['study'].nunique()} studies")
