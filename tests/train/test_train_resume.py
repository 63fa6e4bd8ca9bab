"""A training that was stopped and continued ends with the same bits as one that was not; nothing else is resumed."""

import json
import logging
import resource
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tpcfm.errors import CheckpointError, Interrupted, MachineError
from tpcfm.train import evaluate_objective
from train_toys import ToyObjective, ToyStore, collate, same_bits, toy_config, toy_fit, toy_model


def stop_after(steps, monkeypatch):
    """Make the time limit pass after some steps."""
    left = iter([None] * steps)
    monkeypatch.setattr("tpcfm.train.signals.StopRequest.reason", lambda request, needed: next(left, "test limit"))


def validate(model, step):
    store = ToyStore(6, seed=9)
    torch.rand(step + 1)  # a validation that draws at random must not move the training's generators
    return evaluate_objective(model, ToyObjective(), [collate(store, [0, 1, 2]), collate(store, [3, 4, 5])], "cpu")


def without_times(history):
    volatile = {"seconds", "events_per_s", "points_per_s", "memory_mib"}
    return [{k: v for k, v in row.items() if k not in volatile} for row in history]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_six_steps_equal_three_and_three(tmp_path, monkeypatch, keep, workers):
    # Dropout, accumulation (60 points per micro-batch), clipping, a validation and a log window across the cut.
    config = toy_config(evaluate_every=2, log_every=2, workers=workers, clip=0.5)
    whole, expected = toy_fit(tmp_path / "whole", config, validate=validate, keep=keep)
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Interrupted, match="step 3 of 6") as stopped:
            toy_fit(tmp_path / "parts", config, validate=validate, keep=keep)
    assert stopped.value.exit_code == 75
    parts, got = toy_fit(tmp_path / "parts", config, model=toy_model(seed=99), validate=validate, keep=keep)
    assert same_bits(whole, parts)
    assert not same_bits(whole, toy_model())
    assert (got.steps, got.best_step, got.best_value) == (6, expected.best_step, expected.best_value)
    assert without_times(got.history) == without_times(expected.history)
    log = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert log == got.history


def test_how_often_one_validates_and_logs_does_not_change_the_weights(tmp_path):
    often, _ = toy_fit(tmp_path / "a", toy_config(evaluate_every=1, log_every=1), validate=validate, keep="last")
    never, _ = toy_fit(tmp_path / "b", toy_config(log_every=100, workers=1))
    assert same_bits(often, never)


def test_a_complete_run_is_not_trained_again(tmp_path):
    config = toy_config()
    model, result = toy_fit(tmp_path, config)
    weights = sorted(tmp_path.glob("checkpoint-*"))[-1].stat().st_mtime_ns
    again, repeated = toy_fit(tmp_path, config, model=toy_model(seed=5))
    assert same_bits(model, again)
    assert repeated.history == result.history
    assert repeated.seconds == result.seconds
    assert sorted(tmp_path.glob("checkpoint-*"))[-1].stat().st_mtime_ns == weights


def test_a_crash_between_checkpoints_repeats_the_lost_steps_once(tmp_path):
    class Crash(ToyObjective):
        def counts(self, batch, info):
            if info.step == 5:
                raise KeyboardInterrupt
            return super().counts(batch, info)

    whole, expected = toy_fit(tmp_path / "whole", toy_config())
    with pytest.raises(KeyboardInterrupt):
        toy_fit(tmp_path / "parts", toy_config(), objective=Crash())
    rows = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(r)["step"] for r in rows] == [1, 2, 3, 4, 5]  # one beyond the checkpoint of step 4
    with open(tmp_path / "parts" / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 6, "spl')  # and a line cut short
    parts, got = toy_fit(tmp_path / "parts", toy_config())
    assert same_bits(whole, parts)
    assert without_times(got.history) == without_times(expected.history)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGURG])
def test_a_signal_saves_at_the_next_step(tmp_path, number):
    class Signalled(ToyObjective):
        def counts(self, batch, info):
            if info.step == 3:
                signal.raise_signal(number)
            return super().counts(batch, info)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"stopped at step 3 of 6 .signal {number.name}"):
        toy_fit(tmp_path / "parts", toy_config(), objective=Signalled())
    assert signal.getsignal(number) is before
    assert (tmp_path / "parts" / "checkpoint-000000003.pt").is_file()


@pytest.fixture
def foreground():
    """A process that hears Ctrl-C, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class PressedCtrlC(ToyObjective):
    """Ctrl-C at step 3, as often as said."""

    def __init__(self, times: int) -> None:
        self.times = times

    def counts(self, batch, info):
        while info.step == 3 and self.times:
            self.times -= 1
            signal.raise_signal(signal.SIGINT)
        return super().counts(batch, info)


def test_ctrl_c_saves_at_the_next_step(tmp_path, foreground):
    with pytest.raises(Interrupted, match=r"stopped at step 3 of 6 .signal SIGINT"):
        toy_fit(tmp_path / "parts", toy_config(), objective=PressedCtrlC(1))
    assert (tmp_path / "parts" / "checkpoint-000000003.pt").is_file()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_stops_at_once(tmp_path, foreground):
    with pytest.raises(KeyboardInterrupt):
        toy_fit(tmp_path / "parts", toy_config(), objective=PressedCtrlC(2))
    assert not (tmp_path / "parts" / "checkpoint-000000003.pt").is_file()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_ctrl_c_stays_ignored(tmp_path, foreground):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, result = toy_fit(tmp_path / "parts", toy_config(), objective=PressedCtrlC(1))
    assert result.steps == 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_terminated_or_killed_process_is_continued(tmp_path, caplog, number):
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time, logging
        sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
        logging.basicConfig(level=logging.INFO)
        import torch
        from train_toys import *
        from tpcfm.errors import TpcfmError
        torch.set_num_threads(1)
        class Slow(ToyObjective):
            def counts(self, batch, info):
                print("step", info.step, flush=True)
                time.sleep(float(sys.argv[2]))
                return super().counts(batch, info)
        try:
            model, _ = toy_fit(sys.argv[1], toy_config(steps=12), objective=Slow())
        except TpcfmError as error:
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)
        """)
    )
    command = [sys.executable, str(script), str(tmp_path / "cut"), "0.05"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "step 3" not in job.stdout.readline():
        assert job.poll() is None, job.stderr.read()
    job.send_signal(number)
    _, errors = job.communicate(timeout=60)
    killed = number == signal.SIGKILL
    assert job.returncode == (-9 if killed else 75), errors
    assert killed or "signal SIGTERM" in errors
    assert (tmp_path / "cut" / "lock.json").exists() is killed  # a node failure leaves the lock
    cut, result = toy_fit(tmp_path / "cut", toy_config(steps=12), model=toy_model(seed=7))
    whole, _ = toy_fit(tmp_path / "whole", toy_config(steps=12))
    assert result.steps == 12
    assert same_bits(cut, whole)
    assert ("took over the stale lock" in caplog.text) is killed
    assert [row["step"] for row in result.history] == list(range(1, 13))


def test_a_time_limit_stops_before_it_passes_and_the_run_goes_on_later(tmp_path):
    with pytest.raises(Interrupted, match=r"time limit of 0 s"):
        toy_fit(tmp_path / "parts", toy_config(), max_seconds=0)
    whole, _ = toy_fit(tmp_path / "whole", toy_config())
    parts, _ = toy_fit(tmp_path / "parts", toy_config(), max_seconds=600)
    assert same_bits(whole, parts)


def test_the_end_of_a_slurm_job_is_a_time_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000000000")
    with pytest.raises(Interrupted, match="end of the Slurm job"):
        toy_fit(tmp_path, toy_config())


def test_another_identity_stops_and_both_are_named(tmp_path):
    toy_fit(tmp_path, toy_config(), identity={"config_hash": "aaaa", "data": "same"})
    with pytest.raises(CheckpointError, match=r"config_hash: checkpoint 'aaaa', now 'bbbb'") as error:
        toy_fit(tmp_path, toy_config(), identity={"config_hash": "bbbb", "data": "same"})
    assert "data" not in str(error.value).split("(")[1].split(")")[0]
    with pytest.raises(CheckpointError, match=r"seed: checkpoint 3, now 4"):
        toy_fit(tmp_path, toy_config(), identity={"config_hash": "aaaa", "data": "same"}, seed=4)


@pytest.mark.parametrize("changed", [{"data": "more"}, {"start": "other"}, {"data": "more", "start": "other"}])
def test_a_training_on_other_data_is_set_aside_and_the_run_starts_anew(tmp_path, caplog, changed):
    """Files were added, or the weights it starts from were trained anew: nothing has to be removed by hand, nothing is lost."""
    named = {"config_hash": "aaaa", "data": "some", "start": "one"}
    toy_fit(tmp_path / "state", toy_config(), identity=named)
    old = sorted(p.name for p in (tmp_path / "state").iterdir() if p.name != "train.log")
    fresh, _ = toy_fit(tmp_path / "fresh", toy_config(), identity={**named, **changed})
    again, result = toy_fit(tmp_path / "state", toy_config(), identity={**named, **changed})
    assert same_bits(fresh, again)
    assert len(result.history) == len({(r["step"], r["split"]) for r in result.history}), "no row of the earlier one"
    assert "set aside in" in caplog.text
    assert sorted(p.name for p in (tmp_path / "state/earlier-1").iterdir()) == old
    toy_fit(tmp_path / "state", toy_config(), identity=named)
    assert (tmp_path / "state/earlier-2").is_dir()


def test_another_model_is_refused(tmp_path):
    toy_fit(tmp_path, toy_config())
    with pytest.raises(CheckpointError, match="does not fit the model"):
        toy_fit(tmp_path, toy_config(), model=toy_model(width=8))


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_latest_checkpoint_falls_back_to_the_one_before(tmp_path, caplog, damage):
    whole, _ = toy_fit(tmp_path, toy_config())
    latest = tmp_path / "checkpoint-000000006.pt"
    content = bytearray(latest.read_bytes())
    if damage == "flip":
        model = torch.load(latest, weights_only=True)["model"]["0.weight"].numpy().tobytes()
        at = bytes(content).index(model) + 7
        content[at] ^= 0x10  # in the middle of the weights: still a readable zip file
    latest.write_bytes({"truncate": content[: len(content) // 2], "flip": content, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        again, _ = toy_fit(tmp_path, toy_config(), model=toy_model(seed=8))
    assert "damaged" in caplog.text
    assert latest.name in caplog.text
    assert same_bits(whole, again)


def test_damage_to_every_checkpoint_is_an_error_not_a_fresh_start(tmp_path):
    toy_fit(tmp_path, toy_config())
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="no readable checkpoint left"):
        toy_fit(tmp_path, toy_config())


def test_the_last_two_and_the_best_are_kept(tmp_path):
    values = iter([9.0, 5.0, 1.0, 3.0, 2.0])
    _, result = toy_fit(tmp_path, toy_config(steps=8, evaluate_every=2), validate=lambda m, s: {"loss": next(values)})
    names = sorted(p.name for p in tmp_path.glob("*.pt"))
    assert names == ["best-000000004.pt", "checkpoint-000000006.pt", "checkpoint-000000008.pt"]
    assert (result.best_step, result.best_value) == (4, 1.0)


@contextmanager
def full_disk():
    """No file of this process may grow beyond a few bytes: every write ends as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    whole, _ = toy_fit(tmp_path / "whole", toy_config())
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(Interrupted):
            toy_fit(tmp_path / "parts", toy_config())
    with full_disk(), pytest.raises(MachineError, match=r"checkpoint-000000006.pt: writing the checkpoint failed"):
        toy_fit(tmp_path / "parts", toy_config())
    left = sorted(p.name for p in (tmp_path / "parts").iterdir())
    assert left == ["checkpoint-000000002.pt", "checkpoint-000000004.pt", "metrics.jsonl", "train.log"]
    parts, _ = toy_fit(tmp_path / "parts", toy_config())
    assert same_bits(whole, parts)


TOLD = ("Slurm job 77", "step 1/6", "ends with Interrupted: ", "Slurm job 78", "continues at step 4 of 6", "step 6/6")


def test_the_log_tells_of_every_attempt(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "tpcfm.train")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(Interrupted):
            toy_fit(tmp_path, toy_config())
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    toy_fit(tmp_path, toy_config())
    lines = (tmp_path / "train.log").read_text().splitlines()
    told = [next((i for i, line in enumerate(lines) if words in line), None) for words in TOLD]
    assert None not in told, lines
    assert told == sorted(told)


def test_a_read_only_state_folder_is_named_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(Interrupted):
            toy_fit(tmp_path / "state", toy_config())
    before = {p.name: p.read_bytes() for p in (tmp_path / "state").glob("checkpoint-*")}

    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    for name in ("write_text", "touch"):  # root may write anywhere, so the file system is asked to refuse
        monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(MachineError, match=r"lock.json: cannot write the state folder: Permission denied"):
        toy_fit(tmp_path / "state", toy_config())
    assert {p.name: p.read_bytes() for p in (tmp_path / "state").glob("checkpoint-*")} == before


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"file/state/lock.json: cannot write the state folder: Not a directory"):
        toy_fit(tmp_path / "file" / "state", toy_config())


def test_a_vanished_state_folder_is_named(tmp_path):
    import shutil

    class Vanish(ToyObjective):
        def counts(self, batch, info):
            if info.step == 3:
                shutil.rmtree(tmp_path / "state", ignore_errors=True)
            return super().counts(batch, info)

    with pytest.raises(MachineError, match="state"):
        toy_fit(tmp_path / "state", toy_config(), objective=Vanish())
    assert not (tmp_path / "state").exists()
