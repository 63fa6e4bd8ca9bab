"""Jobs, device hours, disk and wall time of every stage of a plan, before anything is submitted."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.plan.table import Cache, Plan
from tpcfm.scaling import parameters as count
from tpcfm.scaling.cost_runs import RunCost
from tpcfm.scaling.devices import Assumptions, Device
from tpcfm.scaling.events import Amount, amount
from tpcfm.systems.registry import pictures

STAGES = ("raw", "ingest", "prepare", "pretrain", "probe", "finetune", "baseline", "report")
# One CPU core; rates of the simulators and of the preparation as the benchmarks print them, rounded down.
SECONDS_OF_A_COMMAND = 3.0
FETCH_BYTES_PER_SECOND = 50e6
SIMULATED_EVENTS_PER_SECOND = {"collider": 20.0, "lartpc": 100.0}
INGESTED_POINTS_PER_SECOND = 300_000.0
PREPARED_POINTS_PER_SECOND = {"sequences": 60_000.0, "groups": 40_000.0}
REPORT_SECONDS = 60.0
STUDY_SECONDS = 30.0
GROUP_BYTES_PER_POINT = 11.0  # per point before the cuts
CHECKPOINT_BYTES = 16  # per parameter, kept after a training: weights and two moments, and the best weights
WEIGHT_BYTES = 4


@dataclass(frozen=True)
class Job:
    """One job: device seconds if ``on_device``, else seconds of a CPU core; bytes that stay and bytes while it runs."""

    stage: str
    seconds: float
    on_device: bool = False
    disk: float = 0.0
    scratch: float = 0.0


@dataclass(frozen=True)
class StageCost:
    """What a stage costs.

    Attributes:
        stage: one of :data:`STAGES`.
        jobs: number of jobs.
        device_hours: of the GPU, 0 on CPUs.
        core_hours: of CPU cores for jobs that need no GPU.
        disk: bytes that stay.
        scratch: bytes while it runs, with as many jobs at a time as there are places.
        wall: seconds with the given GPUs and cores, longest jobs first; nothing waits in a queue.
    """

    stage: str
    jobs: int
    device_hours: float
    core_hours: float
    disk: float
    scratch: float
    wall: float


def plan_jobs(plan: Plan, device: Device, assumed: Assumptions) -> tuple[list[Job], dict[str, int]]:
    """Return every job of a plan, and the recipes without an estimate with their number of runs."""
    jobs = [*_data_jobs(plan), *_cache_jobs(plan)]
    cost, unknown = RunCost(plan, device, assumed), dict[str, int]()
    for run, entry in plan.runs.items():
        seconds = cost.seconds(run)
        if seconds is None:
            unknown[entry.recipe] = unknown.get(entry.recipe, 0) + 1
        parameters = _parameters(entry.config, entry.recipe)
        disk = (WEIGHT_BYTES + (0 if entry.stage == "probe" else CHECKPOINT_BYTES)) * parameters
        jobs.append(Job(entry.stage, seconds or 0.0, device.gpu, disk, cost.scratch(run)))
    held = {study.experiment for study in plan.studies.values()}
    collected = len(held & {"finetune", "ablations", "baselines", "scaling"})
    jobs += [Job("report", SECONDS_OF_A_COMMAND)] * (collected + 2) + [Job("report", REPORT_SECONDS)]
    jobs += [Job("report", STUDY_SECONDS)] * _picture_jobs(plan)
    return jobs, unknown


def _picture_jobs(plan: Plan) -> int:
    """Return the number of jobs that draw or measure without training: tokenizers, serializations, pictures."""
    number = 0
    for system, block in plan.config["systems"].items():
        number += bool(block.get("tokenizer_study"))
        found = pictures(plan, system) if plan.config.get("pictures") else None
        number += bool(found) + bool(getattr(found, "instances", None))  # the study of serializations needs instances
    return number


def _data_jobs(plan: Plan) -> Iterable[Job]:
    results = Path(plan.config["results"])
    for dataset in plan.datasets.values():
        held, simulation = amount(dataset, results), dataset.load_detector().simulation
        n = len(dataset.parts)
        raw = held.points * held.raw_bytes / n
        for part in dataset.parts.values():
            if part.origin == "simulate":
                seconds = held.events / n / SIMULATED_EVENTS_PER_SECOND[str(simulation)]
                yield Job("raw", SECONDS_OF_A_COMMAND + seconds, disk=raw)
            elif part.origin == "download":
                yield Job("raw", SECONDS_OF_A_COMMAND + raw / FETCH_BYTES_PER_SECOND, disk=raw)
            seconds = held.points / n / INGESTED_POINTS_PER_SECOND
            yield Job("ingest", SECONDS_OF_A_COMMAND + seconds, disk=held.points * held.event_bytes / n)
        yield Job("ingest", SECONDS_OF_A_COMMAND)  # the manifest


def _cache_jobs(plan: Plan) -> Iterable[Job]:
    results = Path(plan.config["results"])
    for cache in plan.caches.values():
        dataset = plan.datasets[cache.dataset]
        held, n = amount(dataset, results), len(dataset.parts)
        seconds = SECONDS_OF_A_COMMAND + held.points / n / PREPARED_POINTS_PER_SECOND[cache.kind]
        yield from [Job("prepare", seconds, disk=_cache_bytes(cache, held) / n)] * n
        yield Job("prepare", SECONDS_OF_A_COMMAND)  # the manifest
    for edges in plan.edges.values():
        points = 0 if edges.model else amount(plan.datasets[edges.dataset], results).points
        yield Job("prepare", SECONDS_OF_A_COMMAND + min(points, 50e6) / INGESTED_POINTS_PER_SECOND)


def _cache_bytes(cache: Cache, held: Amount) -> float:
    """Return the bytes of a cache: eight floats, three labels and the neighbours of each point, or the groups."""
    if cache.kind == "groups":
        return held.points * GROUP_BYTES_PER_POINT
    return held.points * (8 * 4 + 4 + 1 + 1 + 4 * cache.settings["targets"]["k"])


def _parameters(config: dict[str, object], recipe: str) -> int:
    """Return the stored parameters of an FM4NPP run; other networks are small beside them and counted as a million."""
    if recipe == "fm4npp.pretrain":
        return count.backbone(Fm4nppModel.model_validate(config["model"]), frozen=True)
    return 0 if recipe == "fm4npp.coordinate_check" else 1_000_000


def stage_costs(jobs: Iterable[Job], gpus: int, cores: int) -> list[StageCost]:
    """Sum jobs by stage and lay them out on so many GPUs and CPU cores, one stage after another.

    A training takes one GPU; several GPUs per training change the wall time, hardly the hours.
    """
    by_stage: dict[str, list[Job]] = {stage: [] for stage in STAGES}
    for job in jobs:
        by_stage[job.stage].append(job)
    rows = []
    for stage, members in by_stage.items():
        if not members:
            continue
        on, off = [j for j in members if j.on_device], [j for j in members if not j.on_device]
        walls = [makespan([j.seconds for j in on], gpus), makespan([j.seconds for j in off], cores)]
        scratch = sum(sorted((j.scratch for j in members), reverse=True)[: gpus if on else cores])
        hours = [sum(j.seconds for j in group) / 3600 for group in (on, off)]
        rows.append(
            StageCost(stage, len(members), hours[0], hours[1], sum(j.disk for j in members), scratch, max(walls))
        )
    return rows


def makespan(seconds: Iterable[float], places: int) -> float:
    """Return when the last job ends if the longest waiting one always takes the next free place."""
    ends = [0.0] * max(places, 1)
    for duration in sorted(seconds, reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + duration)
    return max(ends)
