"""``tpcfm pictures``: what the pictures of the report need of the trained networks, as small tables."""

from enum import StrEnum
from pathlib import Path

import typer


class System(StrEnum):
    """A system with pictures."""

    polar_mae = "polar_mae"
    fm4npp = "fm4npp"


def command(
    plan: Path = typer.Option(..., help="Plan file (results/plan/<hash>.json)."),
    system: System = typer.Option(..., help="polar_mae: attention; fm4npp: features, serialized paths, box edges."),
    out: Path = typer.Option(..., help="Folder for the tables."),
) -> None:
    """Compute the tables behind the report's pictures from finished runs (the report itself runs no network)."""
    import os

    from tpcfm.config.workflow import PicturesConfig
    from tpcfm.errors import ConfigError
    from tpcfm.plan.pictures import fm4npp_pictures, polar_mae_pictures
    from tpcfm.plan.table import Plan
    from tpcfm.workspace import Workspace

    table = Plan.read(plan)
    workspace = Workspace(Path(table.config["results"]))
    polar = polar_mae_pictures(table) if system is System.polar_mae else None
    collider = fm4npp_pictures(table) if system is System.fm4npp else None
    if not polar and not collider:
        raise ConfigError(
            f"--system {system.value}: this plan pretrains nothing of it, so there are no pictures to make"
        )
    import torch

    from tpcfm.systems.fm4npp import pictures as pictures_fm4npp
    from tpcfm.systems.polar_mae import pictures as pictures_polar_mae

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 0) or 1))
    if polar:
        pictures_polar_mae.write_pictures(polar, workspace, out)
    if collider:
        config = PicturesConfig.model_validate(table.config["pictures"] or {})
        pictures_fm4npp.write_pictures(collider, config, workspace, out)
    written = sorted(out.glob("*.parquet"))
    print(f"{out}: {', '.join(path.name for path in written)}")
