"""``tpcfm plan --gpu`` and ``tpcfm ladder plan``: what they print, for which scale, and how a wrong device is refused."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tpcfm(*arguments):
    command = [sys.executable, "-m", "tpcfm", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})


def test_the_plan_prints_every_stage_and_what_is_assumed():
    result = tpcfm("plan", "--scale", "tiny", "--gpu", "h100", "--gpus", "2", "--cores", "4")
    assert result.returncode == 0, result.stderr
    first = [line.split()[0] for line in result.stdout.splitlines() if line.split()]
    assert first[:10] == [
        "stage",
        "raw",
        "ingest",
        "prepare",
        "pretrain",
        "probe",
        "finetune",
        "baseline",
        "report",
        "all",
    ]
    assert "2 x h100, 4 CPU cores" in result.stdout
    assert "assumptions, not measured" in result.stdout
    assert "GPU-hours" in result.stdout


def test_the_ladder_prints_every_run_of_the_studies():
    result = tpcfm("ladder", "plan", "--scale", "tiny", "--gpu", "a100", "--utilisation", "0.05")
    assert result.returncode == 0, result.stderr
    assert "pretrain-m2-s0" in result.stdout
    assert "5.0% of the peak everywhere (given)" in result.stdout
    assert "GPU-h on a100" in result.stdout


def test_a_wrong_device_is_refused_with_the_known_ones():
    for command in (["plan", "--gpu", "abacus"], ["ladder", "plan", "--gpu", "abacus"]):
        result = tpcfm(*command)
        assert result.returncode != 0
        assert "abacus" in result.stderr
        assert "h100" in result.stderr
        assert "Traceback" not in result.stderr
