"""What every network of a task costs: size, training time, speed, and how its training ended."""

from pathlib import Path

from tpcfm.files import read_json
from tpcfm.report.draw.style import Item
from tpcfm.report.published.sizes import reduced
from tpcfm.report.sections.label_tables import labels, means, paper
from tpcfm.report.tables import table
from tpcfm.report.view import TaskView

CAPTION = (
    "Reduced: sizes that differ from the published ones, which stand in brackets. Training ended on a plateau of the validation loss, or "
    "with its budget before one (then more steps might help). Heads on frozen backbones: time of the head alone; events/s with the "
    "backbone. Baselines: events/s with graphs and clustering. Mean over seeds, one core or GPU each."
)


def cost_items(task: TaskView) -> list[Item]:
    """Return the table of costs; nothing where no run has recorded any."""
    sizes, seconds, speed = (means(task, m) for m in ("parameters", "training_seconds", "events_per_second"))
    if not sizes:
        return []
    rows = task.whole
    stopped = rows[rows["metric"] == "stopped_early"].groupby(["point", "n_labels"])["value"]
    plateaus, seeds = stopped.mean().to_dict(), stopped.size().to_dict()
    edge = rows[rows["metric"] == "tuned_at_edge"].groupby(["point", "n_labels"])["value"].mean()
    runs = rows.groupby(["point", "n_labels"])["run"].first()
    lines = []
    for key in sizes:
        published = task.published.row(key[0]).get("parameters", {})
        lines.append(
            {
                "system": key[0],
                "labels": labels(key),
                "parameters": millions(sizes[key].value),
                "parameters, paper": millions(published.get("")),
                "training (s)": seconds[key].value if key in seconds else None,
                "on": device(task.view.workspace.record(runs[key])),
                "events/s": speed[key].value if key in speed else None,
                "ended by": ended(plateaus[key], seeds[key]) if key in plateaus and key[1] else "",
                "clustering or decision": "tuned at the edge of the grid" if edge.get(key, 0) > 0 else "",
                "reduced": reduced(task.view.plan.runs[runs[key]].config),
            }
        )
    head = [name for name in lines[0] if any(line[name] not in (None, "") for line in lines)]
    name, title = f"table-{task.name}-cost", f"{task.title}: size and cost"
    body = [[line[name] for name in head] for line in lines]
    return [table(task.view.sheet, name, title, head, body, f"{CAPTION}{paper(task)}")]


def ended(share: float, runs: float) -> str:
    """Say how the trainings of all seeds ended."""
    plateau = round(share * runs)
    if plateau == runs:
        return "plateau"
    return "budget" if not plateau else f"budget ({int(runs - plateau)} of {int(runs)})"


def device(record: Path) -> str:
    """Return what a run was trained on, from its ``run.json``; empty if there is none."""
    hardware = (read_json(record) if record.is_file() else {}).get("hardware") or {}
    if hardware.get("gpus"):
        return str(hardware["gpus"][0])
    threads = hardware.get("threads")
    return "" if not hardware else f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def millions(value: float | None) -> object:
    """Return the cell of a number of parameters."""
    if value == 0:
        return "none"
    return None if value is None else f"{value / 1e6:.{2 if value >= 1e5 else 3}f} M"
