"""Two jobs never write one state folder; a dead owner's lock is taken over, and the log says so."""

import json
import logging
import multiprocessing
import socket
import threading
import time

import psutil
import pytest

from tpcfm.errors import MachineError
from tpcfm.train.lock import StateLock


def test_the_lock_names_its_owner_and_goes_away(tmp_path):
    with StateLock(tmp_path) as lock:
        owner = json.loads(lock.path.read_text())
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), psutil.Process().pid)
        with pytest.raises(MachineError, match=rf"process {owner['pid']} on host {owner['host']} is at work"):
            StateLock(tmp_path).__enter__()
        lock.check()
    assert list(tmp_path.iterdir()) == []
    with StateLock(tmp_path):
        pass


def test_an_error_inside_releases_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), StateLock(tmp_path):
        raise ZeroDivisionError
    assert not (tmp_path / "lock.json").exists()


def _die_holding(folder):
    StateLock(folder).__enter__()
    psutil.Process().kill()


def test_a_killed_owner_is_taken_over_with_a_word(tmp_path, caplog):
    child = multiprocessing.get_context("fork").Process(target=_die_holding, args=(tmp_path,))
    child.start()
    child.join(20)
    assert (tmp_path / "lock.json").exists()
    with caplog.at_level(logging.WARNING), StateLock(tmp_path):
        pass
    assert f"took over the stale lock of process {child.pid}" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_reused_process_number_does_not_keep_a_lock_alive(tmp_path, caplog):
    owner = {"host": socket.gethostname(), "pid": psutil.Process().pid, "started": 12345.0, "token": "old"}
    (tmp_path / "lock.json").write_text(json.dumps(owner))
    with caplog.at_level(logging.WARNING), StateLock(tmp_path):
        assert "took over" in caplog.text


def test_another_host_is_judged_by_its_heartbeat(tmp_path, caplog):
    owner = {"host": "node17", "pid": 1, "started": 0.0, "token": "far", "heartbeat": 1, "slurm_job": "42"}
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(owner))
    end = threading.Event()

    def beat():
        while not end.wait(0.05):
            path.write_text(json.dumps({**owner, "heartbeat": time.time()}))

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(MachineError, match="host node17, Slurm job 42 is at work"):
        StateLock(tmp_path, beat=0.1, patience=1.0).__enter__()
    end.set()
    thread.join()
    with caplog.at_level(logging.WARNING), StateLock(tmp_path, beat=0.1, patience=0.4):
        assert "no heartbeat for 0.4 s" in caplog.text


def test_the_heartbeat_is_renewed(tmp_path):
    with StateLock(tmp_path, beat=0.02) as lock:
        first = json.loads(lock.path.read_text())["heartbeat"]
        deadline = time.monotonic() + 10
        while json.loads(lock.path.read_text())["heartbeat"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_an_owner_that_lost_its_lock_stops_before_it_writes(tmp_path):
    with StateLock(tmp_path) as lock:
        lock.path.write_text(json.dumps({"host": "node18", "pid": 7, "started": 0.0, "token": "new"}))
        with pytest.raises(MachineError, match="lost the state folder to process 7 on host node18"):
            lock.check()
    assert json.loads((tmp_path / "lock.json").read_text())["token"] == "new"  # and leaves the new owner's lock


def test_a_lock_file_of_garbage_is_stale_after_its_patience(tmp_path):
    (tmp_path / "lock.json").write_text("{")
    with StateLock(tmp_path, beat=0.1, patience=0.3) as lock:
        lock.check()


def _compete(folder, took, all_tried, may_write):
    try:
        with StateLock(folder) as lock:
            took.put(1)
            all_tried.wait(120)  # nobody finds it released, however slow the machine
            try:
                lock.check()
                may_write.put(1)
            except MachineError:
                may_write.put(0)
    except MachineError:
        took.put(0)
        may_write.put(0)


def test_of_many_that_meet_a_stale_lock_one_may_write(tmp_path):
    owner = {"host": socket.gethostname(), "pid": 2**22 + 1, "started": 0.0, "token": "old"}
    (tmp_path / "lock.json").write_text(json.dumps(owner))
    context = multiprocessing.get_context("fork")
    took, may_write, all_tried = context.Queue(), context.Queue(), context.Event()
    jobs = [context.Process(target=_compete, args=(tmp_path, took, all_tried, may_write)) for _ in range(6)]
    for job in jobs:
        job.start()
    assert sum(took.get(timeout=120) for _ in jobs) >= 1
    all_tried.set()
    assert sum(may_write.get(timeout=120) for _ in jobs) == 1
    for job in jobs:
        job.join(60)
    assert list(tmp_path.iterdir()) == []
