"""``tpcfm pictures``: what the pictures of the report need of the trained networks, as small tables."""

from pathlib import Path

import typer


def command(
    plan: Path = typer.Option(..., help="Plan file (results/plan/<hash>.json)."),
    system: str = typer.Option(..., help="Key of a system of the plan."),
    out: Path = typer.Option(..., help="Folder for the tables, and for manifest.json, which names them."),
) -> None:
    """Compute the tables behind the report's pictures from finished runs (the report itself runs no network)."""
    import importlib
    import os

    from tpcfm.config.workflow import PicturesConfig
    from tpcfm.errors import ConfigError
    from tpcfm.files import write_json
    from tpcfm.plan.table import Plan
    from tpcfm.systems.registry import pictures
    from tpcfm.workspace import Workspace

    table = Plan.read(plan)
    if system not in table.systems():
        raise ConfigError(f"--system {system}: not in this plan; there are {', '.join(table.systems())}")
    found = pictures(table, system)
    if found is None:
        raise ConfigError(f"--system {system}: it pretrains nothing in this plan, so there are no pictures to make")
    import torch

    from tpcfm.evaluate.sources import check_results, write_sources

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 0) or 1))
    maker = importlib.import_module(f"tpcfm.systems.{table.family(system)}.pictures")
    config = PicturesConfig.model_validate(table.config["pictures"] or {})
    workspace = Workspace(Path(table.config["results"]))
    check_results(table, found.runs)
    maker.write_pictures(found, config, workspace, out)
    written = sorted(path.name for path in out.glob("*.parquet"))
    write_json(out / "manifest.json", {"system": system, "tables": written})
    write_sources(out, [workspace.cache_manifest(found.cache), *map(workspace.weights, found.runs)])
    print(f"{out}: {', '.join(written)}")
