"""Any byte of the last checkpoint changed: it is refused, the one before continues the run, and the log says so; half-written files are never seen."""

import logging
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from tpcfm.errors import CheckpointError
from tpcfm.files import read_json, write_json
from tpcfm.train.checkpoint import Checkpoints, read

IDENTITY = {"run": "a", "data": "b"}


def weights(step: int) -> dict[str, torch.Tensor]:
    return {"w": torch.randn(16, 16, generator=torch.Generator().manual_seed(step))}


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    found = Checkpoints(tmp_path, IDENTITY)
    for step in (1, 2):
        found.save(step, {"model": weights(step)}, None)
    return found


def test_a_changed_byte_of_the_last_checkpoint_is_found(saved: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    path = saved.folder / "checkpoint-000000002.pt"
    good, rng = path.read_bytes(), np.random.default_rng(0)
    harmless = 0
    for at in sorted(rng.choice(len(good), 250, replace=False)):
        content = bytearray(good)
        content[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(content)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tpcfm.train"):
            found = saved.load()
        assert found is not None
        assert torch.equal(found["model"]["w"], weights(found["step"])["w"]), (
            f"byte {at}: neither the last nor the one before"
        )
        harmless += found["step"] == 2
        assert found["step"] == 2 or "trying the one before" in caplog.text
    # Dates and names of the archive, and what lies between its members, carry nothing.
    assert harmless < 125


def test_with_both_damaged_the_run_stops_and_says_what_to_do(saved: Checkpoints) -> None:
    for path in saved.folder.glob("*.pt"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no readable checkpoint left"):
        saved.load()
    with pytest.raises(CheckpointError, match="damaged checkpoint"):
        read(saved.folder / "checkpoint-000000002.pt")


def _write(path: Path, number: int) -> None:
    for turn in range(10):
        write_json(path, {"writer": number, "turn": turn, "filling": [number] * 5000})


def test_a_reader_among_twenty_writers_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.json"
    write_json(path, {"writer": -1, "filling": [-1] * 5000})
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, number)) for number in range(20)]
    for writer in writers:
        writer.start()
    reads, seen = 0, set()
    while reads < 20 or any(writer.is_alive() for writer in writers):
        found = read_json(path)
        assert found["filling"] == [found["writer"]] * 5000
        seen.add(found["writer"])
        reads += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["shared.json"]
    assert len(seen) > 1
