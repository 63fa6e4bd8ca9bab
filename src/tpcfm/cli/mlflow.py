"""``tpcfm mlflow``: the store that the MLflow dashboards show."""

from pathlib import Path
from typing import Any

import typer

app = typer.Typer(no_args_is_help=True, help="Fill the MLflow store from the run folders and show it.")

RESULTS = typer.Option(Path("results"), help="Results folder; the store lies in its folder mlflow/.")
PLAN = typer.Option(None, help="Plan file (results/plan/<hash>.json); default: the newest one of the results folder.")
STAMP = typer.Option(None, help="Write what was done here, as JSON (for the workflow).")
HOST = typer.Option("127.0.0.1", help="Address to listen on.")
PORT = typer.Option(5000, min=1, max=65535, help="Port to listen on.")


@app.command()
def init(results: Path = RESULTS, stamp: Path | None = STAMP) -> None:
    """Create the database once, or bring it to the schema of this MLflow."""
    from tpcfm.files import write_json
    from tpcfm.train.mlflow_store import initialise, store_uri

    created = initialise(results)
    print(f"{'created' if created else 'up to date'}: {store_uri(results)}")
    if stamp:
        write_json(stamp, {"store": store_uri(results)})


@app.command()
def sync(
    plan: Path | None = PLAN,
    results: Path | None = typer.Option(None, help="Results folder; default: the one the plan names."),
    max_artifact_mib: float = typer.Option(50.0, min=0, help="Larger files are not copied into the store."),
    uri: str | None = typer.Option(None, help="Another store or server; default: the SQLite store."),
    stamp: Path | None = STAMP,
) -> None:
    """Import new and changed runs; may be repeated at any time, also while jobs run."""
    from tpcfm.errors import ConfigError
    from tpcfm.files import read_json, write_json
    from tpcfm.inference.registry.champions import register
    from tpcfm.train.mlflow_sync import sync as bring

    if plan is None:
        plans = sorted((results or Path("results")).joinpath("plan").glob("*.json"), key=lambda p: p.stat().st_mtime)
        if not plans:
            raise ConfigError(
                f"--plan: none given, and {results or 'results'}/plan holds none; `tpcfm plan` writes one"
            )
        plan = plans[-1]
    table = read_json(plan)
    results = results or Path(table.get("config", {}).get("results", "results"))
    done: dict[str, Any] = {**bring(results, table, uri=uri, max_artifact_mib=max_artifact_mib)}
    moved = register(results, table, uri=uri)
    done["champions"] = len(moved)
    print(f"{results}: " + ", ".join(f"{number} {what}" for what, number in done.items()))
    for name in moved:
        print(f"models:/{name}@champion is a new one")
    if stamp:
        write_json(stamp, done)


@app.command()
def path(results: Path = RESULTS, host: str = HOST, port: int = PORT) -> None:
    """Print the command that shows the store."""
    import shlex

    from tpcfm.train.mlflow_store import ui_command

    print(shlex.join(ui_command(results, host, port)))


@app.command()
def ui(results: Path = RESULTS, host: str = HOST, port: int = PORT) -> None:
    """Print that command and run it."""
    import os
    import shlex
    import socket
    import sys

    from tpcfm.errors import MachineError
    from tpcfm.train.mlflow_store import database, ui_command

    if not database(results).is_file():
        raise MachineError(
            f"{database(results)}: no store yet; `snakemake mlflow_sync` or `tpcfm mlflow sync` makes it"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MachineError(
                f"{host}:{port}: cannot listen here ({error.strerror}); choose another with --port"
            ) from error
    command = ui_command(results, host, port)
    print(shlex.join(command), f"\nthen open http://{host}:{port}", flush=True)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.execv(sys.executable, [sys.executable, "-m", *command])
