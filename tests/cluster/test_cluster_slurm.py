"""What a real Slurm and a real image answer to wrong settings: every message says what to do, and nothing is submitted.

Skipped with the reason where something is missing: ``make test-cluster`` provides all of it on one Debian machine. ``TPCFM_IMAGE_FILE``
names another image, ``TPCFM_SITE`` the site.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster_checkout import BIN, IMAGE, PATIENCE, ROOT, Checkout, environment, marks

pytestmark = marks()


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("CPU_PARTITION", "nowhere", "there is no partition 'nowhere'; this cluster has cpu, gpu"),
        ("GPU_PARTITION", "nowhere", "there is no partition 'nowhere'; this cluster has cpu, gpu"),
        ("GPUS", "9", "9 x GPU on one node cannot be had in the partition 'gpu'"),
        (
            "GPU_MODEL",
            "h200",
            "1 x h200 on one node cannot be had in the partition 'gpu', whose nodes have 2 x standin",
        ),
        ("ACCOUNT", "chemistry", "'chemistry' is not yours; yours: "),
    ],
)
def test_wrong_site_stops_before_the_first_job(tmp_path: Path, setting: str, value: str, words: str) -> None:
    done = Checkout(tmp_path).run("--", "all", **{f"TPCFM_SLURM_{setting}": value})
    assert done.returncode == 1
    assert "Nothing was submitted" in done.stdout
    assert words in done.stdout
    assert f"TPCFM_SLURM_{setting}" in done.stdout or setting == "GPU_MODEL"
    assert "has been submitted" not in done.stdout


def test_slurm_itself_refuses_the_wrong_account() -> None:
    done = subprocess.run(["sbatch", "-A", "chemistry", "--wrap", "true"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0, "so the check before the first job is not a formality"
    assert "Invalid account" in done.stderr


def test_an_account_of_ones_own_is_charged(tmp_path: Path) -> None:
    copy = Checkout(tmp_path, {"systems": {"fm4npp": None}})
    name = next(n for n in copy.plan()["datasets"] if n.startswith("lartpc"))
    setting = {"TPCFM_SLURM_ACCOUNT": "physics", "TPCFM_SLURM_STATUS_COMMAND": "sacct"}
    done = copy.run("--", f"results/events/{name}/manifest.json", **setting)
    assert done.returncode == 0, done.stdout[-4000:]
    jobs = sorted(copy.jobs(), key=int)
    command = ["sacct", "-n", "-X", "-P", "-S", "now-12hours", "-j", ",".join(jobs), "-o", "account,state"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert said == ["physics|COMPLETED"] * len(jobs)


def test_missing_image_stops_before_the_first_job(tmp_path: Path) -> None:
    done = Checkout(tmp_path, {"container": "containers/none.sif"}).run("--", "all")
    assert done.returncode == 1
    assert "there is no image 'containers/none.sif'. Build it with `python containers/build.py`" in done.stdout
    assert "has been submitted" not in done.stdout


def test_the_doctor_advises_what_this_cluster_has() -> None:
    clean = {k: v for k, v in environment().items() if not k.startswith("TPCFM_S")}
    done = subprocess.run([BIN / "tpcfm", "doctor", "--slurm"], cwd=ROOT, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for words in ("cpu_partition: cpu", "gpu_partition: gpu", "status_command: sacct", "ok sacct answers"):
        assert words in said, done.stdout


def test_image_passes_its_own_check_and_tests_run_inside(tmp_path: Path) -> None:
    some = f"-q -p no:cacheprovider --basetemp={tmp_path}/inside tests/losses tests/nn/test_nn_attention.py"
    command = [sys.executable, str(ROOT / "containers/check.py"), "--image", str(IMAGE), "--tests", some]
    host = {"TPCFM_CACHE": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment() | host, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "sha256" in done.stdout
    assert " passed" in done.stdout
    assert (tmp_path / "cache/pycache").is_dir(), "byte code is kept, in the folder that the host names"
    assert os.path.getsize(IMAGE) > 1 << 28
