"""The whole tiny scale, run once under Slurm with every rule in the image; other tests take its caches."""

from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cluster_checkout import Checkout, run_id


@dataclass
class Whole:
    """A checkout in which everything has run, in two calls of one command: in the first, one job could not succeed."""

    checkout: Checkout
    plan: dict
    victim: str
    first: CompletedProcess
    second: CompletedProcess


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Run everything with an obstacle, take it away, and give the same command again."""
    checkout = Checkout(tmp_path_factory.mktemp("whole"))
    plan = checkout.plan()
    victim = run_id(plan, "fm4npp-pretrain-m1-k-1")
    obstacle: Path = checkout.results / "state" / victim
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("a file where the job wants its folder")
    # Without the retries of the profile: the obstacle would be met four times.
    # `all` has no need of `scaling_plots`: the report holds what that page shows.
    command = ("--retries", "0", "--", "all", "scaling_plots")
    first = checkout.run(*command)
    obstacle.unlink()
    second = checkout.run(*command)
    return Whole(checkout, plan, victim, first, second)
