"""The real thing: jobs under a running Slurm, inside the built image; a pre-empted training that ends with the same weights.

Skipped with the reason where no Slurm answers, Apptainer is missing or the image is not built: ``sudo tools/local-cluster start`` and
``python containers/build.py`` provide all three. ``TPCFM_IMAGE_FILE`` names another image, ``TPCFM_SITE`` the site.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
IMAGE = Path(os.environ.get("TPCFM_IMAGE_FILE", ROOT / "containers/tpcfm-cpu-0.1.0.sif"))


def missing() -> str:
    """Why these tests cannot run here; empty if they can."""
    if not shutil.which("apptainer"):
        return "Apptainer is not installed (tools/local-cluster install)"
    if not shutil.which("sinfo"):
        return "Slurm is not installed (tools/local-cluster start)"
    done = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True)
    if done.returncode or not set(done.stdout.split()) & {"idle", "mix", "alloc"}:
        return f"no Slurm node can take a job: {(done.stdout + done.stderr).strip()}"
    if not IMAGE.is_file():
        return f"the image {IMAGE} is not built (containers/build.py)"
    return ""


REASON = missing()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]


def environment() -> dict[str, str]:
    """Environment of a user who activated the project's environment on the local cluster."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    return {
        "TPCFM_SITE": "profiles/ci/site.yaml",
        "TPCFM_APPTAINER_ARGS": "--userns" if os.geteuid() == 0 else "",
        **kept,
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


class Checkout:
    """A copy of the workflow whose jobs go to Slurm and into the image."""

    def __init__(self, folder: Path, over: dict | None = None) -> None:
        self.folder = folder
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("workflow", "profiles", "src"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "slurm").symlink_to("profiles/slurm")
        (folder / "over.yaml").write_text(yaml.safe_dump({"container": str(IMAGE), **(over or {})}))

    def command(self, *arguments: str) -> list[str]:
        files = ["--configfile", "workflow/scales/tiny.yaml", "over.yaml"]
        return [
            str(BIN / "snakemake"),
            "--profile",
            "slurm",
            "--profile",
            "profiles/ci",
            "--nocolor",
            *files,
            *arguments,
        ]

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment() | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
        )

    def plan(self) -> dict:
        """The run table, as a dry run writes it."""
        done = self.run("-n", "--quiet", "all", "--", "all")
        assert done.returncode == 0, done.stdout[-3000:]
        return json.loads(next((self.folder / "results/plan").glob("*.json")).read_text())


def run_id(plan: dict) -> str:
    """The pretraining of the smallest sequence model."""
    return next(n for n, r in plan["runs"].items() if r["stage"] == "pretrain" and n.startswith("pretrain-m1-s0"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which Slurm and the image have made the caches of the sequence models; training long enough to be stopped."""
    over = {"fm4npp": {"pretrain": {"steps": 400, "checkpoint_every": 20, "evaluate_every": 200, "warmup_steps": 1}}}
    copy = Checkout(tmp_path_factory.mktemp("cluster"), over)
    plan = copy.plan()
    copy.cache = plan["runs"][run_id(plan)]["cache"]  # type: ignore[attr-defined]
    done = copy.run("--", f"results/cache/{copy.cache}/manifest.json")  # type: ignore[attr-defined]
    assert done.returncode == 0, done.stdout[-6000:]
    copy.log = done.stdout  # type: ignore[attr-defined]
    return copy


def test_caches_are_made_by_slurm_in_the_image(prepared: Checkout) -> None:
    assert "has been submitted with SLURM jobid" in prepared.log
    assert "Group job simulate_collider" in prepared.log, "short jobs share a submission"
    logs = "".join(p.read_text() for p in (prepared.folder / "results/logs/slurm").rglob("*.log"))
    assert f"Activating singularity image {IMAGE}" in logs
    manifest = json.loads((prepared.folder / f"results/cache/{prepared.cache}/manifest.json").read_text())
    assert len(manifest["parts"]) == 2


def test_nothing_lands_in_the_checkout_but_results(prepared: Checkout) -> None:
    expected = {
        "Snakefile",
        "config.yaml",
        "workflow",
        "profiles",
        "src",
        "slurm",
        "over.yaml",
        "results",
        ".snakemake",
    }
    assert {p.name for p in prepared.folder.iterdir()} == expected


def test_pretraining_stopped_by_slurm_continues_to_the_same_weights(prepared: Checkout) -> None:
    run = run_id(prepared.plan())
    target = prepared.folder / f"results/runs/{run}/model.safetensors"
    state = prepared.folder / f"results/state/{run}"
    process = subprocess.Popen(
        prepared.command("--", str(target.relative_to(prepared.folder))),
        cwd=prepared.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 600
    while not list(state.glob("checkpoint-*.pt")):
        assert process.poll() is None, process.stdout.read()[-4000:]
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.3)
    jobs = subprocess.run(
        ["squeue", "-h", "-t", "R", "-p", "gpu", "-o", "%i"], capture_output=True, text=True
    ).stdout.split()
    assert jobs, "the training ended before it could be stopped"
    subprocess.run(["scancel", "--full", "--signal=TERM", jobs[-1]], check=True)
    text, _ = process.communicate(timeout=900)
    assert process.returncode == 0, text[-6000:]
    assert "Trying to restart job" in text
    assert "continues at step" in (prepared.folder / f"results/logs/pretrain/{run}.log").read_text()
    interrupted = target.read_bytes()

    for folder in (target.parent, state):
        shutil.rmtree(folder)
    done = prepared.run("--", str(target.relative_to(prepared.folder)))
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Trying to restart job" not in done.stdout
    assert target.read_bytes() == interrupted


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("TPCFM_SLURM_CPU_PARTITION", "nowhere", "there is no partition 'nowhere'; this cluster has cpu, gpu"),
        ("TPCFM_SLURM_GPUS", "9", "9 x GPU on one node cannot be had in the partition 'gpu'"),
    ],
)
def test_wrong_site_stops_before_the_first_job(tmp_path: Path, setting: str, value: str, words: str) -> None:
    done = Checkout(tmp_path).run("--", "all", **{setting: value})
    assert done.returncode == 1
    assert "Nothing was submitted" in done.stdout
    assert words in done.stdout
    assert "has been submitted" not in done.stdout


def test_missing_image_stops_before_the_first_job(tmp_path: Path) -> None:
    done = Checkout(tmp_path, {"container": "containers/none.sif"}).run("--", "all")
    assert done.returncode == 1
    assert "there is no image 'containers/none.sif'. Build it with `python containers/build.py`" in done.stdout
    assert "has been submitted" not in done.stdout


def test_image_passes_its_own_check() -> None:
    command = [sys.executable, str(ROOT / "containers/check.py"), "--image", str(IMAGE)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "sha256" in done.stdout
