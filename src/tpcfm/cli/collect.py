"""``tpcfm collect``: merge what the jobs of a stage wrote."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Merge what the jobs of a stage wrote.")


@app.callback()
def _root() -> None:
    pass


@app.command()
def events(
    dataset: Annotated[str, typer.Option(help="Name of the data source.")],
    folder: Annotated[Path, typer.Option(help="Folder of the event tables.")],
    out: Annotated[Path, typer.Option(help="Manifest to write (JSON).")],
    plan: Annotated[
        Path | None, typer.Option(help="Run table: stops if its runs need more events than there are.")
    ] = None,
) -> None:
    """Merge the event tables of a dataset into its manifest: parts, splits, checksums, statistics."""
    from tpcfm.errors import ConfigError
    from tpcfm.events.manifest import collect_events
    from tpcfm.plan.counts import shortages
    from tpcfm.plan.table import Plan

    manifest = collect_events(dataset, folder, out)
    if plan and (said := shortages(Plan.read(plan), folder.name, manifest["splits"])):
        raise ConfigError("\n".join(said))
    print(
        f"{dataset}: {len(manifest['parts'])} parts, {manifest['events']} events, {manifest['points']} points, "
        f"{manifest['rejected']} rejected, fingerprint {manifest['fingerprint']}"
    )
