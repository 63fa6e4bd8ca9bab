"""A copy of the workflow in a temporary folder, to run the real Snakemake in."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass
class Checkout:
    """A working copy of the workflow: Snakefile, rules, profiles and source."""

    folder: Path

    def snakemake(
        self, *arguments: str, scale: str | None = "tiny", over: dict | None = None
    ) -> subprocess.CompletedProcess:
        """Run the real Snakemake; ``over`` is laid over the scale."""
        files = [f"workflow/scales/{scale}.yaml"] if scale else []
        if over:
            path = self.folder / "over.yaml"
            path.write_text(yaml.safe_dump(over))
            files.append("over.yaml")
        options = ["--configfile", *files] if files else []
        command = [str(BIN / "snakemake"), "--cores", "2", "--nocolor", *options, *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=1500)

    def plan(self, over: dict | None = None, scale: str = "tiny"):
        """Return the plan of the configuration."""
        from tpcfm.config.text import merge, read_yaml
        from tpcfm.systems.registry import make_plan, validate

        values = merge(read_yaml(self.folder / "config.yaml"), read_yaml(self.folder / f"workflow/scales/{scale}.yaml"))
        return make_plan(validate(merge(values, over or {})))


def environment() -> dict[str, str]:
    """Environment of a user who activated the project's environment."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "TPCFM"))}
    return keep | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def copy_checkout(folder: Path) -> Checkout:
    """Copy what the workflow needs into a folder."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "slurm").symlink_to("profiles/slurm")
    return Checkout(folder)
