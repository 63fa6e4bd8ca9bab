"""The ladder of pretraining runs: parameters, points, operations, hours and memory of each, before anything is spent."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tpcfm.models.fm4npp.settings import WIDTHS, Fm4nppModel
from tpcfm.plan.table import Plan
from tpcfm.scaling import parameters as count
from tpcfm.scaling.devices import Assumptions, Device
from tpcfm.scaling.events import amount
from tpcfm.scaling.flops import matrix_products, scan, training_flops_per_point
from tpcfm.scaling.traffic import OPTIMISER_BYTES, kept, moved_forward, moved_training, training_memory
from tpcfm.systems.fm4npp.settings import NeighbourPretraining

USABLE = 0.9
"""Share of the device's memory that the plan fills."""
# arXiv 2508.14087, Table 1: number of GPUs (A100 or H100, 80 GB) times hours.
PUBLISHED_GPU_HOURS = {"m1": 10, "m2": 12, "m3": 80, "m4": 256, "m5": 1200, "m6": 4608}


@dataclass(frozen=True)
class Rung:
    """One pretraining run.

    Attributes:
        run: id.
        studies: names of the studies that hold it.
        size: "m1" to "m6", or the width.
        parameters: trained ones.
        steps: optimiser steps.
        points: points seen in training.
        flops: operations of the training.
        hours: device hours.
        utilisation: operations over what the device could have done in that time.
        memory: bytes on the device with the micro-batch of the configuration.
        micro_batch: points per micro-batch, of the configuration or of a batch if that is smaller.
        fits: whether the memory is there.
        largest: largest number of points per micro-batch that fits.
    """

    run: str
    studies: tuple[str, ...]
    size: str
    parameters: int
    steps: int
    points: float
    flops: float
    hours: float
    utilisation: float
    memory: float
    micro_batch: int
    fits: bool
    largest: int


def training_seconds(
    model: Fm4nppModel, points: float, slots: int, precision: str, device: Device, assumed: Assumptions
) -> float:
    """Return the time of a training on one device."""
    peak = device.peak(precision)
    flops = points * training_flops_per_point(model, slots)
    if assumed.utilisation is not None:
        return flops / (peak * assumed.utilisation)
    traffic = points * moved_training(model, precision)
    return flops / (peak * assumed.products) + traffic / (device.bandwidth * assumed.traffic)


def forward_seconds(
    model: Fm4nppModel, points: float, precision: str, device: Device, assumed: Assumptions, slots: int = 30
) -> float:
    """Return the time of passing points through the backbone without training it."""
    peak, flops = device.peak(precision), points * (matrix_products(model, slots) + scan(model))
    if assumed.utilisation is not None:
        return flops / (peak * assumed.utilisation)
    traffic = points * moved_forward(model, precision)
    return flops / (peak * assumed.products) + traffic / (device.bandwidth * assumed.traffic)


def pretraining_seconds(block: NeighbourPretraining, per_event: float, device: Device, assumed: Assumptions) -> float:
    """Return the time of one pretraining with its validations, start included."""
    train, slots = block.train, _slots(block)
    points = train.steps * train.batch_size * per_event
    seconds = training_seconds(block.model, points, slots, train.precision, device, assumed)
    validations = 2 + (train.steps // train.evaluate_every if train.evaluate_every else 10)
    seen = validations * block.validation_events * per_event
    return assumed.startup + seconds + forward_seconds(block.model, seen, train.precision, device, assumed, slots)


def rung(plan: Plan, run: str, device: Device, assumed: Assumptions) -> Rung:
    """Return the row of one pretraining run of FM4NPP."""
    entry = plan.runs[run]
    block = entry.block(NeighbourPretraining)
    train, slots = block.train, _slots(block)
    held = amount(plan.datasets[entry.dataset], Path(plan.config["results"]))
    points = train.steps * train.batch_size * held.points_per_event
    parameters = count.backbone(block.model, slots)
    micro = int(min(train.max_points, max(train.batch_size * held.points_per_event, held.points_per_event)))
    keep = kept(block.model, train.precision, train.activation_checkpointing)
    memory = training_memory(block.model, parameters, micro, train.precision, train.activation_checkpointing)
    room = USABLE * device.memory - OPTIMISER_BYTES * parameters
    flops = points * training_flops_per_point(block.model, slots)
    seconds = pretraining_seconds(block, held.points_per_event, device, assumed)
    return Rung(
        run=run,
        studies=tuple(study.name for study in plan.studies.values() if run in study.runs),
        size=next((name for name, width in WIDTHS.items() if width == block.model.width), f"width {block.model.width}"),
        parameters=parameters,
        steps=train.steps,
        points=points,
        flops=flops,
        hours=seconds / 3600,
        utilisation=flops / (seconds * device.peak(train.precision)),
        memory=memory,
        micro_batch=micro,
        fits=memory <= USABLE * device.memory,
        largest=int(max(room / keep, 0)) if device.gpu else train.max_points,
    )


def ladder(plan: Plan, device: Device, assumed: Assumptions, experiments: Iterable[str] = ("scaling",)) -> list[Rung]:
    """Return a row for every FM4NPP pretraining run of the named experiments, cheapest first."""
    runs = [r for r in plan.of_experiment(*experiments) if plan.runs[r].recipe == "fm4npp.pretrain"]
    return sorted((rung(plan, run, device, assumed) for run in runs), key=lambda row: (row.flops, row.run))


def _slots(block: NeighbourPretraining) -> int:
    return block.targets.k if block.targets.objective == "next_neighbours" else 1
