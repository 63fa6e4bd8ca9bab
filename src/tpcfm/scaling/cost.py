"""Jobs, device hours, disk and wall time of every stage of a plan, before anything is submitted."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from tpcfm.detectors.model import Detector
from tpcfm.detectors.simulations import SIMULATIONS
from tpcfm.plan.table import Cache, Plan
from tpcfm.plan.work import USABLE, Estimate, Held
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.scaling.devices import Assumptions, Device, seconds
from tpcfm.scaling.events import Amount, amount
from tpcfm.systems.registry import ESTIMATES, pictures
from tpcfm.workspace import Workspace

TRAININGS = ("pretrain", "finetune", "baseline")
"""Stages whose jobs save their state and continue."""
STORED_BYTES = 20e9
"""Neighbours of a cache that take more than this are found in the loader (``neighbours: auto``)."""
RECOMPUTING = 4 / 3
"""Time of a training that computes its activations twice over that of one that keeps them."""
LONGEST_EVENT = 30_000
"""Points of the longest events of the public data (arXiv 2502.02558, App. A; arXiv 2508.14087, App. A): one alone is a micro-batch."""
STAGES = ("raw", "ingest", "prepare", "pretrain", "probe", "finetune", "baseline", "report")
# One CPU core; rates of the preparation as the benchmarks print them, rounded down.
SECONDS_OF_A_COMMAND = 3.0
FETCH_BYTES_PER_SECOND = 50e6
INGESTED_POINTS_PER_SECOND = 300_000.0
PREPARED_POINTS_PER_SECOND = {"sequences": 60_000.0, "groups": 40_000.0}
REPORT_SECONDS = 60.0
STUDY_SECONDS = 30.0
GROUP_BYTES_PER_POINT = 11.0  # per point before the cuts
SEQUENCE_BYTES_PER_POINT = 4 * (3 + 4 + 1)  # position, features, row of the event table
CHECKPOINT_BYTES = 16  # per parameter, kept after a training: weights and two moments, and the best weights
WEIGHT_BYTES = 4


@dataclass(frozen=True)
class Job:
    """One job: device seconds if ``on_device``, else seconds of a CPU core; bytes that stay, bytes while it runs, bytes on the device."""

    stage: str
    seconds: float
    on_device: bool = False
    disk: float = 0.0
    scratch: float = 0.0
    name: str = ""
    memory: float = 0.0


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


class Costs:
    """What the parts of one plan hold and ask for; a training may keep ``scratch`` bytes on disk while it runs."""

    def __init__(self, plan: Plan, scratch: float = inf) -> None:
        self.plan, self.workspace, self.scratch = plan, Workspace(Path(plan.config["results"])), scratch
        self._amounts: dict[str, Amount] = {}

    def amount(self, dataset: str) -> Amount:
        """Return the events and points of a dataset."""
        if dataset not in self._amounts:
            self._amounts[dataset] = amount(self.plan.datasets[dataset], self.workspace)
        return self._amounts[dataset]

    def estimate(self, run: str) -> Estimate | None:
        """Return what a run takes; None for a recipe without an estimate."""
        entry = self.plan.runs[run]
        held = self.amount(entry.dataset)
        found = ESTIMATES.get(entry.recipe)
        stored = self.stored(entry.cache)
        return found(entry, Held(held.per_event, held.splits, self.workspace, self.scratch, stored)) if found else None

    def stored(self, cache: str) -> bool:
        """Return whether a cache of sequences keeps the neighbours of its points."""
        chosen, entry = self.plan.config["execution"]["neighbours"], self.plan.caches[cache]
        if entry.kind != "sequences" or chosen != "auto":
            return bool(entry.kind == "sequences" and chosen == "stored")
        return self.amount(entry.dataset).points * neighbour_bytes(entry) <= STORED_BYTES

    def full_batch(self, run: str) -> float:
        """Return the points of a full micro-batch of a run: those of the settings, or of a batch if that is smaller."""
        entry = self.plan.runs[run]
        return min(entry.train.max_points, entry.train.batch_size * self.amount(entry.dataset).per_event)

    def memory(self, run: str, found: Estimate, device: Device) -> float:
        """Return the bytes on the device of a full micro-batch or of the longest event; 0 where there is no formula."""
        if found.memory is None:
            return 0.0
        return max(found.memory.of(n, USABLE * device.memory) for n in (self.full_batch(run), LONGEST_EVENT))

    def time(self, run: str, found: Estimate, device: Device, assumed: Assumptions) -> float:
        """Return the seconds of a run on a device; longer where its micro-batches recompute their activations to fit."""
        longer, held = 1.0, found.memory
        if held and held.least is not None and held.fixed + self.full_batch(run) * held.kept > USABLE * device.memory:
            longer = RECOMPUTING
        return assumed.startup + longer * seconds(found, device, assumed)


def neighbour_bytes(cache: Cache) -> float:
    """Return the bytes per point that the neighbours of a cache take if they are stored."""
    return 4.0 * TargetConfig.model_validate(cache.settings["targets"]).k


def plan_jobs(
    plan: Plan, device: Device, assumed: Assumptions, scratch: float = inf
) -> tuple[list[Job], dict[str, int]]:
    """Return every job of a plan, and the recipes without an estimate with their number of runs.

    ``scratch`` is the most bytes that a training may keep on disk while it runs.
    """
    costs, unknown = Costs(plan, scratch), dict[str, int]()
    jobs = [*_data_jobs(costs), *_cache_jobs(costs)]
    for run, entry in plan.runs.items():
        found = costs.estimate(run)
        if found is None:
            unknown[entry.recipe] = unknown.get(entry.recipe, 0) + 1
            found = Estimate(())
        time = costs.time(run, found, device, assumed) if found.work else 0.0
        disk = (WEIGHT_BYTES + (0 if entry.stage == "probe" else CHECKPOINT_BYTES)) * found.parameters
        memory = costs.memory(run, found, device) if device.gpu else 0.0
        jobs.append(Job(entry.stage, time, device.gpu, disk, found.scratch, run, memory))
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


def _data_jobs(costs: Costs) -> Iterable[Job]:
    for dataset in costs.plan.datasets.values():
        held, simulation = costs.amount(dataset.id), dataset.load_detector().simulation
        n = len(dataset.parts)
        raw = held.points * held.raw_bytes / n
        for part in dataset.parts.values():
            name = f"{dataset.id}/{part.name}"
            if part.origin == "simulate":
                time = held.events / n / SIMULATIONS[str(simulation)].events_per_second
                yield Job("raw", SECONDS_OF_A_COMMAND + time, disk=raw, name=name)
            elif part.origin == "download":
                yield Job("raw", SECONDS_OF_A_COMMAND + raw / FETCH_BYTES_PER_SECOND, disk=raw, name=name)
            time = held.points / n / INGESTED_POINTS_PER_SECOND
            yield Job("ingest", SECONDS_OF_A_COMMAND + time, disk=held.points * held.event_bytes / n, name=name)
        yield Job("ingest", SECONDS_OF_A_COMMAND, name=dataset.id)  # the manifest


def _cache_jobs(costs: Costs) -> Iterable[Job]:
    plan = costs.plan
    for cache in plan.caches.values():
        dataset = plan.datasets[cache.dataset]
        held, n = costs.amount(cache.dataset), len(dataset.parts)
        size = held.points * _bytes_per_point(cache, dataset.load_detector(), costs.stored(cache.id))
        time = SECONDS_OF_A_COMMAND + held.points / n / PREPARED_POINTS_PER_SECOND[cache.kind]
        yield from (Job("prepare", time, disk=size / n, name=f"{cache.id}/{part}") for part in dataset.parts)
        yield Job("prepare", SECONDS_OF_A_COMMAND, name=cache.id)  # the manifest
    for edges in plan.edges.values():
        points = 0 if edges.model else costs.amount(edges.dataset).points
        yield Job("prepare", SECONDS_OF_A_COMMAND + min(points, 50e6) / INGESTED_POINTS_PER_SECOND, name=edges.id)


def _bytes_per_point(cache: Cache, detector: Detector, stored: bool) -> float:
    """Return the bytes per point of a cache: position, signals, labels, features and the neighbours if they are stored; or the groups."""
    if cache.kind == "groups":
        return GROUP_BYTES_PER_POINT
    columns = sum(np.dtype(column.type).itemsize for column in (*detector.signal, *detector.labels.values()))
    return SEQUENCE_BYTES_PER_POINT + columns + (neighbour_bytes(cache) if stored else 0)


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


def peak_disk(rows: Iterable[StageCost]) -> float:
    """Return the most bytes on disk at any time: what the stages so far have left, and the scratch of the one that runs, which it gives back."""
    left = peak = 0.0
    for row in rows:
        left += row.disk
        peak = max(peak, left + row.scratch)
    return peak


def makespan(seconds: Iterable[float], places: int) -> float:
    """Return when the last job ends if the longest waiting one always takes the next free place."""
    ends = [0.0] * max(places, 1)
    for duration in sorted(seconds, reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + duration)
    return max(ends)
