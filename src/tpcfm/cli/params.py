"""``tpcfm params``."""

import typer


def command(
    family: str = typer.Option("all", help="A family of systems, baselines, or all."),
) -> None:
    """Print every model's parameter count, part by part, beside the published one."""
    import importlib

    from rich.console import Console
    from rich.table import Table

    from tpcfm.errors import ConfigError
    from tpcfm.systems.registry import PARAMETER_TABLES

    if family not in (*PARAMETER_TABLES, "all"):
        raise ConfigError(f"--family {family!r}: allowed are {', '.join(PARAMETER_TABLES)}, all")
    table = Table("family", "part", "ours", "published", "difference", box=None)
    for name, module in PARAMETER_TABLES.items():
        if family in (name, "all"):
            for row in importlib.import_module(module).parameter_table():
                ours, published = row["ours"], row["published"]
                difference = "" if not published else f"{100 * (ours - published) / published:+.2f} %"
                table.add_row(name, row["part"], f"{ours:,}", f"{published:,}" if published else "-", difference)
    Console().print(table)
