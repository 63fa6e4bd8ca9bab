"""How much of a backbone to train with a head: scores beside trained weights, memory and time, where a system compares ways."""

from tpcfm.report.draw.style import Item
from tpcfm.report.names import score_name
from tpcfm.report.sections.label_tables import OURS, cell, labels, means
from tpcfm.report.tables import table
from tpcfm.report.view import TaskView

PARTS = ("last", "lora")
CAPTION = (
    "Frozen: the head alone is trained; last blocks, low rank (LoRA, arXiv 2106.09685) or fine-tuned: the backbone in part or as a whole, too. "
    "Trained: weights of the head and of the backbone that learn. Memory: weights, gradients, optimiser and what waits for the backward pass in "
    "one step, counted; time: of the training. Where the backbone is frozen both are of the head alone, for its features are made once before."
)


def adaptation_items(task: TaskView) -> list[Item]:
    """Return the table; nothing where no head trains a part of its backbone."""
    plan = task.view.plan
    modes = {run: plan.runs[run].config.get("mode") for run in task.rows["run"].unique()}
    if not any(mode in PARTS for mode in modes.values()):
        return []
    points = set(task.rows.loc[task.rows["run"].map(modes).notna(), "point"])
    costs = {"parameters": 0, "training_megabytes": 1, "training_seconds": 1}
    numbers = [(means(task, metric), digits) for metric, digits in costs.items()]
    scores = {metric: means(task, metric) for metric in task.scores[:2]}
    body: list[list[object]] = []
    for key in sorted((key for key in numbers[0][0] if key[0] in points), key=lambda key: key[1]):
        cells = [f"{found[key].value:,.{digits}f}" if key in found else None for found, digits in numbers]
        body.append([key[0], labels(key), *cells, *(cell(found.get(key)) for found in scores.values())])
    head = ["system", "labels", "trained", "memory (MB)", "training (s)", *map(score_name, scores)]
    name, title = f"table-{task.name}-adaptation", f"{task.title}: how much of the backbone to train"
    return [table(task.view.sheet, name, title, head, body, f"{CAPTION} {OURS}")]
