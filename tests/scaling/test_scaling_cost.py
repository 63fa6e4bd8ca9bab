"""Cost of a plan by stage: every job is counted, hours follow the work, wall time follows the places."""

from collections import Counter
from pathlib import Path

import pytest
from tpcfm.scaling.cost_runs import RunCost

from tpcfm.files import write_json
from tpcfm.scaling.cost import STAGES, Job, makespan, plan_jobs, stage_costs
from tpcfm.scaling.devices import Assumptions, device
from tpcfm.scaling.events import amount
from tpcfm.systems.registry import load, make_plan

ROOT = Path(__file__).resolve().parents[2]
ASSUMED = Assumptions()


@pytest.fixture(scope="module", params=["tiny", "paper"])
def plan(request):
    return make_plan(load(ROOT / "config.yaml", ROOT / f"workflow/scales/{request.param}.yaml"))


@pytest.fixture(scope="module")
def demo():
    return make_plan(load(ROOT / "config.yaml"))


def test_every_run_part_and_cache_is_a_job(plan):
    jobs, _ = plan_jobs(plan, device("h100"), ASSUMED)
    found = Counter(job.stage for job in jobs)
    for stage in ("pretrain", "probe", "finetune", "baseline"):
        assert found[stage] == len(plan.of_stage(stage))
    parts = {name: len(dataset.parts) for name, dataset in plan.datasets.items()}
    assert found["ingest"] == sum(parts.values()) + len(parts)
    assert found["prepare"] == sum(parts[c.dataset] + 1 for c in plan.caches.values()) + len(plan.edges)
    assert set(found) <= set(STAGES)


def test_recipes_without_an_estimate_are_named(demo):
    _, unknown = plan_jobs(demo, device("cpu"), ASSUMED)
    assert unknown == {}
    run = next(iter(demo.runs))
    other = demo.model_copy(
        update={"runs": {**demo.runs, run: demo.runs[run].model_copy(update={"recipe": "another"})}}
    )
    assert plan_jobs(other, device("cpu"), ASSUMED)[1] == {"another": 1}


def test_runs_cost_what_their_work_asks_for(demo):
    cost = RunCost(demo, device("cpu"), ASSUMED)

    def seconds(start):
        (run,) = (r for r in demo.runs if r.startswith(start))
        return cost.seconds(run) - ASSUMED.startup

    assert seconds("pretrain-m1-s0") < seconds("pretrain-m2-s0") < seconds("pretrain-m3-s0")
    assert seconds("pretrain-m1-compute0.5") < 0.8 * seconds("pretrain-m1-s0")
    assert (
        seconds("tracks-none-100-s0") < seconds("tracks-m1-pretrained-100-s0") < seconds("tracks-m2-pretrained-100-s0")
    )


def test_scratch_is_the_features_of_the_frozen_backbone(demo):
    cost = RunCost(demo, device("cpu"), ASSUMED)
    (run,) = (r for r in demo.runs if r.startswith("tracks-m2-pretrained-100"))
    config = demo.runs[run].config
    events = config["n_labels"] + config["validation_events"]
    assert cost.scratch(run) == pytest.approx(2 * 12 * 128 * events * 880)
    assert cost.scratch(next(r for r in demo.runs if r.startswith("tracks-none"))) == 0


def test_places_shorten_the_wall_time_and_not_the_hours():
    jobs = [Job("pretrain", 3600.0, on_device=True)] * 4 + [Job("ingest", 60.0)] * 6
    one, four = (stage_costs(jobs, gpus, 2) for gpus in (1, 4))
    assert [row.stage for row in one] == ["ingest", "pretrain"]
    assert (one[1].wall, four[1].wall) == (4 * 3600, 3600)
    assert one[1].device_hours == four[1].device_hours == 4
    assert one[0].wall == 180
    assert one[0].core_hours == pytest.approx(0.1)


def test_without_a_gpu_trainings_take_cores(demo):
    jobs, _ = plan_jobs(demo, device("cpu"), ASSUMED)
    rows = {row.stage: row for row in stage_costs(jobs, 1, 2)}
    assert all(row.device_hours == 0 for row in rows.values())
    assert rows["pretrain"].core_hours > 0


def test_scratch_is_that_of_the_jobs_at_a_time():
    jobs = [Job("finetune", 1.0, on_device=True, scratch=s) for s in (1.0, 5.0, 3.0)]
    assert stage_costs(jobs, 2, 8)[0].scratch == 8.0


@pytest.mark.parametrize(
    ("seconds", "places", "expected"), [([], 2, 0.0), ([5, 3, 3], 2, 6.0), ([4, 1, 1, 1, 1], 2, 4.0), ([2, 2], 1, 4.0)]
)
def test_longest_jobs_go_first(seconds, places, expected):
    assert makespan(seconds, places) == expected


def test_the_releases_hold_their_published_numbers_of_events():
    paper = make_plan(load(ROOT / "config.yaml", ROOT / "workflow/scales/paper.yaml"))
    held = {d.name: amount(d, Path("nowhere")).events for d in paper.datasets.values()}
    assert held["tpcpp_labelled"] == 90_000
    assert held["tpcpp_10m"] == 10_000_000
    assert held["pilarnet_m"] == 196_200 + 153_600 + 10_880


def test_an_ingested_dataset_is_counted(demo, tmp_path):
    dataset = next(d for d in demo.datasets.values() if d.layout == "tpcpp")
    assert not amount(dataset, tmp_path).counted
    write_json(tmp_path / "events" / dataset.id / "manifest.json", {"events": 10, "points": 5000})
    found = amount(dataset, tmp_path)
    assert (found.events, found.points_per_event, found.counted) == (10.0, 500.0, True)
