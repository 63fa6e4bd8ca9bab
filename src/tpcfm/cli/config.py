"""``tpcfm config``: check a configuration, write its JSON schema."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Check a configuration, write its JSON schema.")


@app.command()
def check(
    files: list[Path] = typer.Argument(..., help="config.yaml and overlays, the later over the earlier."),
) -> None:
    """Check a configuration, with the detectors, files and weights that it names; exit code 2 and what is wrong if it is not valid."""
    from fnmatch import fnmatch

    from tpcfm.errors import ConfigError
    from tpcfm.plan.counts import require_events
    from tpcfm.plan.planner import Planner
    from tpcfm.scaling.events import release_shares
    from tpcfm.systems.registry import load, make_plan, missing_imports
    from tpcfm.workspace import Workspace

    config = load(*files)
    plan, everything = make_plan(config), Planner(config)
    require_events(plan, Workspace(Path(config.results)))
    for key in config.data:  # those that no system uses too
        everything.dataset(key)
    if missing := missing_imports(config):
        raise ConfigError("\n".join(missing))
    for pattern in config.execution.runs:
        if not any(fnmatch(run, pattern) for run in plan.runs):
            print(f"note: execution.runs.{pattern}: fits no run")
    for dataset in everything.datasets.values():
        shares = release_shares(dataset)
        said = ", ".join(f"{taken:,.0f} of {held:,.0f} events of {name}/" for name, (taken, held) in shares.items())
        if said:
            print(f"{'note: ' if any(a != b for a, b in shares.values()) else ''}data.{dataset.name}: {said}")
    found = f"{len(everything.datasets)} datasets, {len(plan.caches)} caches, {len(plan.runs)} runs"
    print(f"valid: scale {config.scale}, {found}")


@app.command()
def schema(out: Path = typer.Option(..., help="JSON file; editors complete and check config.yaml with it.")) -> None:
    """Write the JSON schema of ``config.yaml``."""
    from tpcfm.files import write_json
    from tpcfm.systems.registry import Configuration

    write_json(out, {"$schema": "https://json-schema.org/draft/2020-12/schema", **Configuration.model_json_schema()})
