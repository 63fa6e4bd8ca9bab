"""The trainer's tests run on one thread, as a single process, without a tracking server."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    torch.set_num_threads(1)
    for name in ("SLURM_JOB_END_TIME", "MLFLOW_TRACKING_URI", "WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
