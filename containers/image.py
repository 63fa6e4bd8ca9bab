"""What the image helpers share: the variants, their names and locks, and how Apptainer is called.

The standard library alone, so that the helpers run on a login node without the project's environment.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INDEX = "https://download.pytorch.org/whl"


@dataclass(frozen=True)
class Variant:
    """One of the images: for CPU or for CUDA."""

    name: str
    python: str
    base: str
    indexes: tuple[str, ...]

    @property
    def locks(self) -> tuple[Path, Path]:
        """The two locks that the image holds."""
        return ROOT / "envs" / f"{self.name}.txt", ROOT / "envs" / "image.txt"

    @property
    def file(self) -> Path:
        """Where the image lies by default; the name carries the version, since Snakemake compares names."""
        return ROOT / "containers" / f"tpcfm-{self.name}-{version()}.sif"

    def lock_hash(self) -> str:
        """First twelve digits of the SHA-256 over both locks and the steps that install them."""
        digest = hashlib.sha256()
        for path in (*self.locks, ROOT / "containers" / "install.sh", ROOT / "containers" / "environment.sh"):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]


VARIANTS = {
    "cpu": Variant("cpu", "3.11", "python:3.11-slim-bookworm", (f"{INDEX}/cpu",)),
    "cuda": Variant(
        "cuda", "3.12", "python:3.12-slim-bookworm", (f"{INDEX}/cu128", "https://wheels.astral.sh/simple/cu128")
    ),
}


class ImageError(Exception):
    """What the user can mend; printed without a traceback."""


def version() -> str:
    """Version of the project, as pyproject.toml says."""
    import tomllib

    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def revision() -> str:
    """Git revision of the checkout, with ``-dirty`` if files differ; ``unknown`` outside git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True
        )
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def apptainer() -> str:
    """Path of Apptainer (or of Singularity, which takes the same options).

    Raises:
        ImageError: neither is installed.
    """
    program = shutil.which("apptainer") or shutil.which("singularity")
    if program is None:
        raise ImageError(
            "Apptainer is not installed: https://apptainer.org/docs, `module load apptainer` on many clusters,"
            " or `sudo tools/local-cluster install` on Debian and Ubuntu"
        )
    return program


def image(path: Path) -> Path:
    """Return the path of an image that exists.

    Raises:
        ImageError: it does not.
    """
    if not path.is_file():
        raise ImageError(
            f"{path}: no such image; build it with `python containers/build.py` (see docs/how-to/containers.md)"
        )
    return path.resolve()


def exec_options(*, gpu: bool) -> list[str]:
    """Options of ``apptainer exec``: ``--nv`` where a GPU is asked for, and what ``TPCFM_APPTAINER_ARGS`` adds."""
    return ["--nv"] * gpu + shlex.split(os.environ.get("TPCFM_APPTAINER_ARGS", ""))


def exec_command(path: Path, command: list[str], *, gpu: bool = False, checkout: Path = ROOT) -> list[str]:
    """Return the command line that runs ``command`` inside an image with the checkout bound as working folder."""
    options = ["--home", str(checkout), "--bind", str(checkout), "--pwd", str(checkout), *exec_options(gpu=gpu)]
    return [apptainer(), "exec", *options, str(path), *command]


def run(command: list[str], *, environment: dict[str, str] | None = None, capture: bool = False) -> str:
    """Run a command, shown before, and return its standard output if captured.

    Raises:
        ImageError: it failed; the message ends with its own last words.
    """
    print("+", shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, text=True, stdout=subprocess.PIPE if capture else None
    )
    if done.returncode:
        raise ImageError(f"{Path(command[0]).name} ended with exit code {done.returncode}")
    return done.stdout or ""


def describe(path: Path) -> dict[str, str]:
    """Return size, digest and labels of an image."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    text = run([apptainer(), "inspect", "--json", str(path)], capture=True)
    labels = json.loads(text)["data"]["attributes"]["labels"]
    held = {k: str(v) for k, v in labels.items() if k.startswith(("tpcfm.", "org.opencontainers.image.version"))}
    return {"image": str(path), "size": f"{path.stat().st_size / 2**20:.0f} MiB", "sha256": digest.hexdigest(), **held}
