"""`snakemake predict`: a job per file of the block `predict`, the model first if it is a run of the configuration."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_zoo import toy_models
from rawfiles import collider_shard, write_tpcpp

pytestmark = pytest.mark.workflow


@pytest.fixture
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three raw files."""
    folder = tmp_path_factory.mktemp("raw")
    for number in range(3):
        write_tpcpp(folder, collider_shard(np.random.default_rng(number), events=4), f"_{number:03}")
    return folder


def _said(result: subprocess.CompletedProcess) -> str:
    return result.stdout + result.stderr


def test_a_model_directory_labels_a_file_per_job(checkout, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = toy_models(tmp_path_factory.mktemp("models"))[0].run("sage")
    over = {"predict": {"model": str(model), "files": [str(raw / "spacepoints_*.npz")], "like_input": True}}
    result = checkout.snakemake("--", "predict", over=over)
    assert result.returncode == 0, _said(result)[-3000:]
    out = checkout.folder / "results" / "predictions" / "sage"
    for number in range(3):
        assert len(pd.read_parquet(out / f"spacepoints_{number:03}.predictions.parquet")) == 4
        assert (out / f"pid_labels_{number:03}.npz").exists()
    assert "Nothing to be done" in _said(checkout.snakemake("--", "predict", over=over))
    (out / "spacepoints_001.predictions.parquet").unlink()
    again = _said(checkout.snakemake("-n", "-q", "rules", "--", "predict", over=over))
    assert re.search(r"^predict_file +1$", again, re.M), again


def test_a_run_of_the_configuration_is_trained_first(checkout, raw: Path) -> None:
    run = next(run for run in checkout.plan().of_stage("baseline"))
    over = {"predict": {"model": run, "files": [str(raw / "spacepoints_{000..001}.npz")]}}
    text = _said(checkout.snakemake("-n", "-q", "rules", "--", "predict", over=over))
    assert re.search(r"^predict_file +2$", text, re.M), text
    assert re.search(r"^baseline_run +1$", text, re.M), text
    assert set(checkout.plan(over).runs) == set(checkout.plan().runs)
    assert (
        "predict" not in _said(checkout.snakemake("-n", "-q", "rules", "--", "all", over=over)).split("Job stats")[-1]
    )


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (None, "predict: the configuration names no model and files"),
        ({"model": "nothing"}, "predict.model: run 'nothing' is not in this plan"),
        ({"model": "fm4npp", "files": ["nothing_*.npz"]}, "predict.files: 'nothing_*.npz' matches no file"),
        ({"model": "fm4npp", "files": []}, "predict.files"),
    ],
)
def test_what_cannot_be_labelled_stops_before_any_job(checkout, raw: Path, block: dict | None, message: str) -> None:
    given = None if block is None else {"files": [str(raw / "spacepoints_000.npz")], **block}
    result = checkout.snakemake("-n", "--", "predict", over={"predict": given} if given else None)
    assert result.returncode
    assert message in " ".join(_said(result).split())
