"""Spoilt copies of every kind of file: the right events, a rejected event with its reason, or one clear error that names the file; never a traceback, a
hang, more than 2 GiB, code run, or an event that is silently wrong. ``make fuzz`` tries 20,000 of them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults import seed
from fuzz_worker import KINDS
from plans import ROOT
from workflow_checkout import environment

PATIENCE = 120.0
"""Seconds without progress that count as a hang (the first mutant compiles what its reader needs)."""
TOTAL = int(os.environ.get("TPCFM_FUZZ", 0))
IN_CI = ("pilarnet", "tpcpp inside", "csv", "configuration")
"""Kinds of which a few are tried every time; the readers have tests of their own beside this."""


def tried(kind: str, begin: int, count: int, folder: Path) -> tuple[dict[str, int], list[str]]:
    """Give mutants to a worker, and end it where it makes no progress: counts, and what was found."""
    source = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests/support'}"}
    counts, found, chosen = {"read": 0, "refused": 0}, list[str](), seed() if TOTAL else 1
    folder.mkdir(parents=True, exist_ok=True)
    while begin < count:
        command = [sys.executable, "-m", "fuzz_worker", kind, str(chosen), str(begin), str(count), str(folder)]
        said = folder.with_suffix(".log")
        with said.open("w") as out:
            worker = subprocess.Popen(
                command, env=environment() | source, stdout=out, stderr=subprocess.PIPE, text=True
            )
            last, since = "", time.monotonic()
            while worker.poll() is None and time.monotonic() - since < PATIENCE:
                time.sleep(0.05)
                now = (folder / "progress").read_text() if (folder / "progress").is_file() else ""
                if now != last:
                    last, since = now, time.monotonic()
            hung = worker.poll() is None
            worker.kill()
            _, words = worker.communicate()
        lines = [json.loads(line) for line in said.read_text().splitlines()]
        found += [f"{kind} {chosen} {line}" for line in lines if "found" in line]
        for line in lines:
            counts = {name: counts[name] + line.get(name, 0) for name in counts}
        if worker.returncode == 0:
            break
        assert last, words
        found.append(
            f"{kind} {chosen} mutant {last}: {'hangs' if hung else f'ends the process: {worker.returncode} {words[-300:]}'}"
        )
        begin = int(last) + 1
    return counts, found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS if TOTAL else IN_CI)
def test_a_spoilt_file_is_read_rejected_or_refused(kind: str, tmp_path: Path) -> None:
    count = TOTAL // len(KINDS) if TOTAL else 40
    counts, found = tried(kind, 0, count, tmp_path / kind.replace(" ", "-"))
    print(f"{kind}: {count} mutants, {counts}, {len(found)} findings (seed {seed() if TOTAL else 1})")
    assert found == []
    assert counts["refused"] > 0
