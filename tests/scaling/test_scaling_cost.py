"""Cost of a plan by stage: every job is counted, hours follow the work, wall time follows the places."""

from collections import Counter
from pathlib import Path

import pytest

from plans import planned
from tpcfm.files import write_json
from tpcfm.plan.work import Estimate, Work
from tpcfm.scaling.cost import STAGES, Costs, Job, makespan, peak_disk, plan_jobs, stage_costs
from tpcfm.scaling.devices import Assumptions, device, seconds
from tpcfm.scaling.events import amount
from tpcfm.systems.registry import ESTIMATES
from tpcfm.workspace import Workspace

ASSUMED = Assumptions()


@pytest.fixture(scope="module", params=["tiny", "paper"])
def plan(request):
    return planned(scale=request.param)


@pytest.fixture(scope="module")
def demo():
    return planned()


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


def test_every_recipe_of_the_scales_has_an_estimate(plan):
    assert {run.recipe for run in plan.runs.values()} <= set(ESTIMATES)


def test_runs_cost_what_their_work_asks_for(demo):
    costs = Costs(demo)

    def time(start):
        (run,) = (r for r in demo.runs if r.startswith(f"fm4npp-{start}"))
        return seconds(costs.estimate(run), device("cpu"), ASSUMED)

    assert time("pretrain-m1-s0") < time("pretrain-m2-s0") < time("pretrain-m3-s0")
    assert time("pretrain-m1-compute0.5") < 0.8 * time("pretrain-m1-s0")
    assert time("track-m1-none-100-s0") < time("track-m1-pretrained-100-s0") < time("track-m2-pretrained-100-s0")


def test_work_takes_its_share_of_the_device():
    h100, cpu = device("h100"), device("cpu")
    half = Estimate((Work(h100.half, "products", "bfloat16"),))
    assert seconds(half, h100, ASSUMED) == pytest.approx(1 / ASSUMED.products)
    assert seconds(half, h100, Assumptions(utilisation=0.1)) == pytest.approx(10)
    moved = Estimate((Work(moved=h100.bandwidth, loaded=h100.link),))
    assert seconds(moved, h100, ASSUMED) == pytest.approx(1 / ASSUMED.traffic + 1)
    assert seconds(moved, h100, Assumptions(utilisation=0.1)) == pytest.approx(1), "its traffic is within the share"
    for kind, share in (("dense", 0.4), ("sparse", 0.2)):
        assert seconds(Estimate((Work(cpu.single, kind),)), cpu, ASSUMED) == pytest.approx(1 / share)
    fixed = Estimate((Work(seconds=5.0), Work(seconds=2.0)))
    assert seconds(fixed, h100, ASSUMED) == seconds(fixed, cpu, ASSUMED) == 7


def test_scratch_is_the_features_of_the_frozen_backbone(demo):
    costs = Costs(demo)
    (run,) = (r for r in demo.runs if r.startswith("fm4npp-track-m2-pretrained-100"))
    config = demo.runs[run].config
    events = config["n_labels"] + config["validation_events"]
    per_event = costs.amount(demo.runs[run].dataset).per_event
    assert costs.estimate(run).scratch == pytest.approx(2 * 12 * 128 * events * per_event)
    assert costs.estimate(next(r for r in demo.runs if r.startswith("fm4npp-track-m2-none"))).scratch == 0


def test_scratch_beyond_the_quota_is_computed_anew(demo):
    (run,) = (r for r in demo.runs if r.startswith("fm4npp-track-m2-pretrained-100"))
    free = Costs(demo).estimate(run)
    half, none = (Costs(demo, scratch=free.scratch * share).estimate(run) for share in (0.5, 0.0))
    assert (half.scratch, none.scratch) == (free.scratch / 2, 0)
    times = [seconds(found, device("h100"), ASSUMED) for found in (free, half, none)]
    assert times[1] - times[0] == pytest.approx(times[2] - times[1], rel=1e-3)
    assert times[1] > times[0]


def test_at_the_scale_of_the_papers_neighbours_are_found_in_the_loader():
    paper = planned(scale="paper")
    costs = Costs(paper)
    held = {c.dataset.rsplit("-", 1)[0]: costs.stored(c.id) for c in paper.caches.values() if c.kind == "sequences"}
    assert held == {"tpcpp_10m": False, "tpcpp_labelled": True}
    rows = stage_costs(plan_jobs(paper, device("h100"), ASSUMED)[0], 1, 2)
    stored = planned({"execution": {"neighbours": "stored"}}, "paper")
    before = stage_costs(plan_jobs(stored, device("h100"), ASSUMED)[0], 1, 2)
    assert sum(r.disk for r in before) - sum(r.disk for r in rows) > 1e12


def test_a_loader_that_is_slower_than_the_device_sets_the_time():
    work = (Work(seconds=5.0),)
    assert seconds(Estimate(work, loader=7.0), device("h100"), ASSUMED) == 7
    assert seconds(Estimate(work, loader=3.0), device("h100"), ASSUMED) == 5


def test_disk_at_its_peak_holds_the_scratch_of_one_stage_at_a_time():
    jobs = [
        Job("raw", 1.0, disk=10),
        Job("finetune", 1.0, True, disk=1, scratch=50),
        Job("baseline", 1.0, True, disk=30),
    ]
    assert (
        peak_disk(stage_costs(jobs, 1, 1)) == 61
    )  # raw, the weights of the heads and their scratch, which is given back


def test_neighbours_that_are_not_stored_take_no_disk(demo):
    loader = planned({"execution": {"neighbours": "loader"}})
    stored, found = (sum(j.disk for j in plan_jobs(p, device("cpu"), ASSUMED)[0]) for p in (demo, loader))
    (cache,) = (c for c in demo.caches.values() if c.kind == "sequences")
    points = Costs(demo).amount(cache.dataset).points
    assert stored - found == pytest.approx(points * 4 * 30)


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
    paper = planned(scale="paper")
    nowhere = Workspace(Path("nowhere"))
    held = {d.name: amount(d, nowhere) for d in paper.datasets.values()}
    assert held["tpcpp_labelled"].splits == {"train": 70_000, "validation": 13_000, "test": 7_000}
    assert held["tpcpp_10m"].events == 10_000_000
    assert held["tpcpp_10m"].splits["validation"] == pytest.approx(10_000)
    validation = 0.01 * 1_199_200  # v1 has no test: its validation files are the test
    splits = {"train": 1_199_200 - validation, "validation": validation, "test": 10_880}
    assert held["pilarnet_m"].splits == pytest.approx(splits)


def test_an_ingested_dataset_is_counted(demo, tmp_path):
    dataset, workspace = next(d for d in demo.datasets.values() if d.detector == "sphenix"), Workspace(tmp_path)
    before = amount(dataset, workspace)
    assert (before.counted, before.splits["test"]) == (False, pytest.approx(0.15 * 300))
    counted = {"train": 7, "validation": 2, "test": 1}
    write_json(workspace.event_manifest(dataset.id), {"events": 10, "points": 5000, "splits": counted})
    found = amount(dataset, workspace)
    assert (found.events, found.per_event, found.counted, found.splits) == (10, 500.0, True, counted)


def test_files_of_ones_own_are_counted_by_their_size(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "{name: mine, pitch: 1.0, volume: {shape: box, x: [0, 1], y: [0, 1], z: [0, 1]},"
        " published: {points_per_event: 100, raw_bytes_per_point: 10}}"
    )
    (tmp_path / "a.csv").write_bytes(b"x" * 50_000)
    mine = {"detector": str(tmp_path / "mine.yaml"), "files": [str(tmp_path / "a.csv")]}
    system = {"family": "polar_mae", "dataset": "mine", "pretrain": {"steps": 2, "batch_size": 1}}
    plan = planned({"data": {"mine": mine}, "systems": {"polar_mae": None, "fm4npp": None, "own": system}})
    (dataset,) = plan.datasets.values()
    assert amount(dataset, Workspace(tmp_path)).events == pytest.approx(50)
