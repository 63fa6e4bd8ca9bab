"""``tpcfm doctor``."""

import typer


def command(
    slurm: bool = typer.Option(False, "--slurm", help="Also test what Slurm answers and say which settings to use."),
) -> None:
    """Print versions, devices and accelerators: what is there and what would be used."""
    import os
    import platform
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    from rich.console import Console
    from rich.table import Table

    from tpcfm import __version__

    console = Console()
    table = Table("what", "found", "note", box=None)
    table.add_row("tpcfm", __version__, "")
    table.add_row("Python", platform.python_version(), platform.machine())
    notes = {
        "torch": "networks and training",
        "pyarrow": "event tables and caches",
        "h5py": "PILArNet-M files",
        "pythia8mc": "optional: pp collisions (`tpcfm simulate collider --source pythia`)",
        "snakemake": "optional: the workflow",
        "snakemake-executor-plugin-slurm": "optional: `--profile slurm` (>= 2.7.1)",
        "mlflow": "optional: dashboards",
    }
    for name, note in notes.items():
        try:
            table.add_row(name, version(name), note)
        except PackageNotFoundError:
            table.add_row(name, "-", note)
    for program, note in {"apptainer": "containers", "sbatch": "Slurm", "git": "revision in run.json"}.items():
        table.add_row(program, shutil.which(program) or "-", f"optional: {note}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    table.add_row("cores", str(cores), "")

    import torch

    table.add_row(
        "CUDA", str(torch.cuda.is_available()), "device used: " + ("cuda" if torch.cuda.is_available() else "cpu")
    )
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        table.add_row(f"  GPU {index}", properties.name, f"{properties.total_memory / 2**30:.0f} GiB")
    from tpcfm.backends import report

    for row in report():
        both = "kernels on event data; " if row["name"] == "numba" else ""  # needed anyway, and an accelerator
        table.add_row(row["name"], row["found"], both + row["used"])
    console.print(table)
    if slurm:
        from tpcfm.cli._slurm import diagnose

        console.print(diagnose(), markup=False, soft_wrap=True)
