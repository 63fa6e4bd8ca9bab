"""What a result was made with: versions, machine, code revision, accelerators."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "tpcfm",
    "torch",
    "numpy",
    "numba",
    "pyarrow",
    "safetensors",
    "mamba-ssm",
    "causal-conv1d",
    "pytorch3d",
    "spconv",
    "torch-geometric",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def hardware() -> dict[str, Any]:
    """Return processor, memory (GiB) and the visible GPUs."""
    import psutil

    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


@lru_cache(maxsize=1)
def revision() -> dict[str, Any]:
    """Return the commit of the checkout the package runs from, and whether it has uncommitted changes.

    Empty outside a git checkout or without git.
    """
    here = Path(__file__).resolve().parent

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=here, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return {}


def provenance() -> dict[str, Any]:
    """Return everything above, with the command, the scheduler's job and the container image (path and variant)."""
    job = {k: os.environ[k] for k in ("SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_JOB_NODELIST") if k in os.environ}
    image = {k: os.environ[k] for k in ("APPTAINER_CONTAINER", "TPCFM_IMAGE") if k in os.environ}
    return {
        "versions": versions(),
        "hardware": hardware(),
        "revision": revision(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        **({"slurm": job} if job else {}),
        **({"image": image} if image else {}),
    }
