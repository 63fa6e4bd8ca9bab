"""Commands of the workflow broken off anywhere, and on machines that lack something: nothing is half there, and the same command again makes all of it.

``make faults`` (``TPCFM_FAULTS=N``) breaks every stage off N times; without it a few stages are, a few times.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults import ERRORS, Counts, Server, Stage, broken_off, files, seed, stages

TIMES = int(os.environ.get("TPCFM_FAULTS", 0))
STAGES = None if TIMES else 10
"""The first commands alone: simulation, the store of the dashboards, ingest."""

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def workflow(server: Server, tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    """The stages of a small workflow, run once undisturbed."""
    found = []
    for stage in stages(tmp_path_factory.mktemp("faults"), server):
        found.append(stage)
        if len(found) == STAGES:
            break
    return found


def plan_of_faults(workflow: list[Stage], rng: random.Random, times: int) -> list[tuple[Stage, dict[str, Any]]]:
    """Choose for each stage where it is broken off, and how: half of them killed at a change of the file system."""
    chosen = []
    for place, stage in enumerate(workflow):
        largest = max(
            (
                p.stat().st_size
                for name, p in files(stage.after).items()
                if not (stage.before / "results" / name).exists()
            ),
            default=1,
        )
        for number in range(times):
            at = rng.randint(1, max(1, stage.steps))
            kinds: list[dict[str, Any]] = [
                {"kind": "kill", "at": at},
                {"kind": "errno", "at": at, "errno": rng.choice(list(ERRORS.values()))},
                {"kind": "kill", "at": at},
                {"kind": "time", "at": rng.uniform(0, stage.seconds)},
                {"kind": "kill", "at": at},
                {"kind": "size", "at": max(1, int(rng.random() * largest))},
                {"kind": "kill", "at": at},
                {"kind": "clock", "at": rng.randint(1, 6)},
                {"kind": "kill", "at": at},
                {"kind": "files", "at": rng.randint(40, 80)},
            ]
            chosen.append((stage, kinds[(place + number) % len(kinds)]))
    rng.shuffle(chosen)
    return chosen


def test_a_stage_broken_off_anywhere_is_made_whole_by_the_same_command(
    workflow: list[Stage], server: Server, tmp_path: Path
) -> None:
    chosen = seed() if TIMES else 1
    rng, counts = random.Random(chosen), Counts()
    faults = plan_of_faults(workflow, rng, TIMES or 1)
    for stage, fault in faults:
        broken_off(stage, fault, server, tmp_path / "work", counts)
    print(f"seed {chosen}: {counts.done}, {len(counts.problems)} problems")
    assert counts.problems == []
