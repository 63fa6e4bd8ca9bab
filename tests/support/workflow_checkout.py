"""A copy of the workflow in a temporary folder, to run the real Snakemake in."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from plans import LISTS, ROOT, planned
from releases import paper_lists
from tpcfm.config.text import merge
from tpcfm.plan.table import Plan

BIN = Path(sys.executable).parent


@dataclass
class Checkout:
    """A working copy of the workflow: Snakefile, rules, profiles and source."""

    folder: Path

    def snakemake(
        self, *arguments: str, scale: str | tuple[str, ...] | None = "tiny", over: dict | None = None
    ) -> subprocess.CompletedProcess:
        """Run the real Snakemake; ``over`` is laid over the scale, or over several, each over the one before."""
        names = (scale,) if isinstance(scale, str) else scale or ()
        files = [f"workflow/scales/{name}.yaml" for name in names]
        if scale == "paper":
            over = merge(paper_lists(LISTS), over or {})
        if over:
            path = self.folder / "over.yaml"
            path.write_text(yaml.safe_dump(over))
            files.append("over.yaml")
        options = ["--configfile", *files] if files else []
        command = [str(BIN / "snakemake"), "--cores", "2", "--nocolor", *options, *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=3600)

    def jobs(self, over: dict | None = None, scale: str | None = "tiny") -> dict[str, str]:
        """What a dry run of everything would do: for every job its name and the command, without what says how it is to run."""
        result = self.snakemake("-n", "-p", "--", "all", over=over, scale=scale)
        text = result.stdout + result.stderr
        assert result.returncode == 0, text[-3000:]
        found = re.findall(r"^(?:local)?(?:Job|rule) \d+: (.*)\n(?:Reason: .*\n)?(?:Shell command: (.*))?", text, re.M)
        return {re.sub(r" --(plan|neighbours|device) \S+", "", command) or name: name for name, command in found}

    def plan(self, over: dict | None = None, scale: str | tuple[str, ...] | None = "tiny") -> Plan:
        """Return the plan of the configuration; paths are relative to the copy."""
        with contextlib.chdir(self.folder):
            return planned(over, scale)


def tpcfm(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess:
    """Run a verb of the command line of a copy, in its folder."""
    command = [sys.executable, "-m", "tpcfm", *arguments]
    held = environment() | {"PYTHONPATH": str(checkout.folder / "src")}
    return subprocess.run(command, cwd=checkout.folder, env=held, capture_output=True, text=True, timeout=600)


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


RULES = """
import json
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings, DeploymentSettings, OutputSettings, Quietness, ResourceSettings, StorageSettings, WorkflowSettings
)
with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    parts = (ResourceSettings(cores=1), ConfigSettings(), StorageSettings(), WorkflowSettings(), DeploymentSettings())
    names = ("resource_settings", "config_settings", "storage_settings", "workflow_settings", "deployment_settings")
    found = api.workflow(**dict(zip(names, parts)), snakefile=Path("Snakefile"))._workflow
    print(json.dumps({rule.name: rule.name in found._localrules for rule in found.rules if rule.shellcmd}))
"""


def rules_with_a_command(folder: Path) -> dict[str, bool]:
    """Return, as Snakemake reads the workflow, the rules that run a command, and whether each stays on the machine one submits from."""
    copy = copy_checkout(folder)
    command = [sys.executable, "-c", RULES]
    done = subprocess.run(command, cwd=copy.folder, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, bool] = json.loads(done.stdout.splitlines()[-1])
    return found
