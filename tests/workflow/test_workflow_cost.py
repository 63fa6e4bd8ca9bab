"""What ``tpcfm plan --gpu`` and ``tpcfm ladder plan`` count is what Snakemake would run: job by job, stage by stage."""

import re
from collections import Counter

import pytest

from tpcfm.scaling.cost import plan_jobs
from tpcfm.scaling.devices import Assumptions, device
from tpcfm.scaling.ladder import ladder

pytestmark = pytest.mark.workflow
STAGE = {
    **dict.fromkeys(("simulate", "fetch_file"), "raw"),
    **dict.fromkeys(("ingest", "events_manifest"), "ingest"),
    **dict.fromkeys(("prepare_groups", "prepare_sequences", "fit_edges", "cache_manifest"), "prepare"),
    "pretrain": "pretrain",
    "probe": "probe",
    "finetune_run": "finetune",
    "baseline_run": "baseline",
}
NO_JOBS = ("all", "total")  # the target itself, and the sum


def dry_run(checkout, target: str, scale: str | None) -> Counter[str]:
    """Jobs per rule as a dry run prints them."""
    result = checkout.snakemake("-n", "-q", "rules", "--", target, scale=scale)
    text = result.stdout + result.stderr
    assert result.returncode == 0, text[-3000:]
    return Counter({m[1]: int(m[2]) for m in re.finditer(r"^(\w+) +(\d+)$", text, re.M)})


@pytest.mark.parametrize("scale", ["tiny", pytest.param("paper", marks=pytest.mark.slow)])
def test_the_cost_plan_counts_the_jobs_of_the_dry_run(checkout, scale: str) -> None:
    counted = dry_run(checkout, "all", scale)
    stages: Counter[str] = Counter()
    for rule, jobs in counted.items():
        if rule not in NO_JOBS:
            stages[STAGE.get(rule, "report")] += jobs
    jobs, unknown = plan_jobs(checkout.plan(scale=scale), device("h100"), Assumptions())
    assert Counter(job.stage for job in jobs) == stages
    assert len(jobs) == counted["total"] - counted["all"]
    assert unknown == {}


def test_the_ladder_holds_the_pretrainings_of_the_scaling_target(checkout) -> None:
    plan = checkout.plan()
    rungs = ladder(plan, device("h100"), Assumptions())
    wanted = {run for run in plan.of_experiment("scaling") if plan.runs[run].recipe == "fm4npp.pretrain"}
    assert {rung.run for rung in rungs} == wanted
    assert len(rungs) == dry_run(checkout, "scaling_plots", "tiny")["pretrain"]
