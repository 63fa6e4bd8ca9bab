"""``tpcfm params``."""

import typer


def command(
    family: str = typer.Option("all", help="polar_mae, fm4npp, comparison or all."),
) -> None:
    """Print every model's parameter count, part by part, beside the published one."""
    import importlib

    from rich.console import Console
    from rich.table import Table

    from tpcfm.errors import ConfigError

    families = {
        "polar_mae": "tpcfm.models.polar_mae.parameters",
        "fm4npp": "tpcfm.models.fm4npp.parameters",
        "comparison": "tpcfm.models.baselines.parameters",
    }
    if family not in (*families, "all"):
        raise ConfigError(f"--family {family!r}: allowed are {', '.join(families)}, all")
    table = Table("family", "part", "ours", "published", "difference", box=None)
    for name, module in families.items():
        if family in (name, "all"):
            for row in importlib.import_module(module).parameter_table():
                ours, published = row["ours"], row["published"]
                difference = "" if not published else f"{100 * (ours - published) / published:+.2f} %"
                table.add_row(name, row["part"], f"{ours:,}", f"{published:,}" if published else "-", difference)
    Console().print(table)
