"""The ladder of pretraining runs: parameters, points, operations, hours and memory of each, before anything is spent."""

from collections.abc import Iterable
from dataclasses import dataclass

from tpcfm.plan.table import Plan
from tpcfm.plan.work import USABLE, Estimate, Memory, Rung
from tpcfm.scaling.cost import Costs
from tpcfm.scaling.devices import Assumptions, Device


@dataclass(frozen=True)
class Row:
    """One pretraining run.

    Attributes:
        run: id.
        family: of its system.
        studies: names of the studies that hold it.
        parameters: trained ones.
        points: points seen in training.
        flops: operations of the training.
        hours: device hours.
        utilisation: operations over what the device could have done in that time.
        memory: bytes on the device with the micro-batch of the configuration, without what the allocator wastes.
        micro_batch: points per micro-batch, of the configuration or of a batch if that is smaller.
        fits: whether the memory is there.
        largest: largest number of points per micro-batch that fits, recomputed where the settings allow it.
    """

    run: str
    family: str
    studies: tuple[str, ...]
    parameters: int
    points: float
    flops: float
    hours: float
    utilisation: float
    memory: float
    micro_batch: int
    fits: bool
    largest: int


def ladder(plan: Plan, device: Device, assumed: Assumptions, experiments: Iterable[str] = ("scaling",)) -> list[Row]:
    """Return a row for every run of the named experiments whose family counts its points and memory, cheapest first."""
    costs, rows = Costs(plan), []
    for run in plan.of_experiment(*experiments):
        found = costs.estimate(run)
        if found and found.rung and found.memory:
            rows.append(_row(costs, run, found, found.rung, found.memory, device, assumed))
    return sorted(rows, key=lambda row: (row.flops, row.run))


def _row(
    costs: Costs, run: str, estimate: Estimate, rung: Rung, held: Memory, device: Device, assumed: Assumptions
) -> Row:
    plan, entry = costs.plan, costs.plan.runs[run]
    train, micro = entry.train, int(costs.full_batch(run))
    room = USABLE * device.memory
    memory = held.of(micro, room)
    time = costs.time(run, estimate, device, assumed)
    return Row(
        run=run,
        family=entry.family,
        studies=tuple(study.name for study in plan.studies.values() if run in study.runs),
        parameters=rung.parameters,
        points=rung.points,
        flops=rung.flops,
        hours=time / 3600,
        utilisation=rung.flops / (time * device.peak(train.precision)),
        memory=memory,
        micro_batch=micro,
        fits=memory <= room,
        largest=int(max((room - held.fixed) / (held.least or held.kept), 0)) if device.gpu else train.max_points,
    )
