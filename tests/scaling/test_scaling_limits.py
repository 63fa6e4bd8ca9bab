"""Limits of a site: attempts follow the time limit, what a site cannot hold is named with the reason."""

import math

import pytest

from plans import planned
from tpcfm.config.site import Site
from tpcfm.plan.work import USABLE
from tpcfm.scaling.cost import Costs, Job, plan_jobs
from tpcfm.scaling.devices import Assumptions, device, nearest
from tpcfm.scaling.limits import MOST_ATTEMPTS, SPARE, Limits, attempts, retries, too_much, usable

H100 = device("h100")
DAY = Limits(minutes=1440, cpu_minutes=1440, scratch=1e12)


@pytest.mark.parametrize(("hours", "expected"), [(1, 1), (23.8, 1), (23.9, 2), (266, 12), (0, 1), (1e6, MOST_ATTEMPTS)])
def test_a_training_takes_as_many_attempts_as_its_hours_ask_for(hours, expected):
    assert attempts(60 * hours, lambda _: 1440) == expected


def test_limits_may_grow_with_the_attempt():
    assert attempts(300, lambda n: 60 * n) == 3  # 54 + 110 + 170 minutes
    assert (usable(60), usable(1440)) == (54, 1430)


def test_the_longest_training_of_the_papers_may_come_back_often_enough():
    paper = planned(scale="paper")
    assert retries(paper, "baseline", lambda _: 1440, H100) >= 11 - 1 + SPARE
    costs = Costs(paper)
    longest = max(costs.time(r, costs.estimate(r), H100, Assumptions()) for r in paper.of_stage("baseline"))
    allowed = 1 + retries(paper, "baseline", lambda _: 1440, H100) - SPARE
    assert (allowed - 1) * usable(1440) < longest / 60 <= allowed * usable(1440)
    assert retries(planned(scale="tiny"), "baseline", lambda _: 1440, H100) == SPARE
    assert retries(paper, "pretrain", lambda _: 1440, H100, gpus=64) == SPARE


def test_what_a_site_cannot_hold_is_named():
    fits = Job("finetune", 3600.0 * 100, True, scratch=1e12, memory=USABLE * H100.memory)
    assert too_much(fits, DAY, H100) == []
    large = Job("pretrain", 1.0, True, memory=H100.memory)
    assert too_much(large, DAY, H100) == ["memory 80 GB, 90% of h100 are 72 GB"]
    assert too_much(Job("finetune", 1.0, True, scratch=2e12), DAY, H100) == ["scratch 2000 GB of 1000 GB"]
    probe = Job("probe", 3600.0 * 25, True)
    assert too_much(probe, DAY, H100) == ["25.0 h, limit 24 h, and it starts anew"]
    assert too_much(Job("prepare", 3600.0 * 25), DAY, H100) == ["25.0 h, limit 24 h, and it starts anew"]
    endless = Job("baseline", 3600.0, True)
    (said,) = too_much(endless, Limits(minutes=0.5), H100)
    assert f"more than {MOST_ATTEMPTS} attempts" in said


def test_the_site_of_the_profile_holds_every_job_of_the_papers():
    limits = Limits.of_site(Site())
    assert limits == DAY
    assert Limits.of_site(Site(scratch_gb=0)).scratch == math.inf
    jobs, _ = plan_jobs(planned(scale="paper"), H100, Assumptions(), limits.scratch)
    assert [job.name for job in jobs if too_much(job, limits, H100)] == []
    assert max(job.scratch for job in jobs) == 1e12
    assert all(job.name for job in jobs if job.stage != "report")


@pytest.mark.parametrize(
    ("model", "name"),
    [("nvidia_h100_80gb_hbm3", "h100"), ("H200", "h200"), ("a100_40gb", "a100-40gb"), ("", "a100"), ("v100", "a100")],
)
def test_models_of_sites_find_the_nearest_device(model, name):
    assert nearest(model) is device(name)
