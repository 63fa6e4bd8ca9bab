"""``tpcfm config``: check a configuration, write its JSON schema."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Check a configuration, write its JSON schema.")


@app.command()
def check(
    files: list[Path] = typer.Argument(..., help="config.yaml and overlays, the later over the earlier."),
) -> None:
    """Check a configuration: exit code 2 and every wrong key, value and what is allowed if it is not valid."""
    from tpcfm.systems.registry import load, make_plan

    plan = make_plan(load(*files))
    print(
        f"valid: scale {plan.config['scale']}, {len(plan.datasets)} datasets, {len(plan.caches)} caches, {len(plan.runs)} runs"
    )


@app.command()
def schema(out: Path = typer.Option(..., help="JSON file; editors complete and check config.yaml with it.")) -> None:
    """Write the JSON schema of ``config.yaml``."""
    from tpcfm.files import write_json
    from tpcfm.systems.registry import Configuration

    write_json(out, {"$schema": "https://json-schema.org/draft/2020-12/schema", **Configuration.model_json_schema()})
