"""Tables of a task: its scores beside the published ones, score by score for every class, and what tuned decisions change."""

from collections.abc import Iterator, Mapping
from typing import Any

from tpcfm.evaluate.event_scores import CALIBRATED
from tpcfm.evaluate.table import mean_over_seeds
from tpcfm.evaluate.tracking import MIN_PREDICTED, MIN_TRUE
from tpcfm.report.draw.style import Item
from tpcfm.report.names import class_score, score_name
from tpcfm.report.tables import Markup, share_with_interval, table
from tpcfm.report.view import BY_PARTICLE, CLASS_SCORES, COUNTED_OTHERWISE, TaskView

Key = tuple[str, int]
OURS = (
    "Mean over seeds with a 95 % t-interval where there are several, on held-out test events: the same events, label subsets, seeds and "
    "selection for all."
)


def means(task: TaskView, metric: str, name: str = "") -> dict[Key, Any]:
    """Return mean, interval and number of seeds by network and label count."""
    found = task.of(metric, name)
    keys = zip(found["point"].astype(str), found["n_labels"].astype(int).tolist(), strict=True)
    return dict(zip(keys, found.itertuples(), strict=True))


def cell(row: Any) -> object:
    """Return the cell of a mean with its interval."""
    return None if row is None else Markup(share_with_interval(row.value, row.low, row.high))


def labels(key: Key) -> object:
    """Return the cell of a label count; empty for what learns nothing."""
    return key[1] if key[1] > 0 else ""


def paper(task: TaskView, note: str = "") -> str:
    """Return the sentence on the published numbers, with a note; empty where nothing is published."""
    return f" Paper: {task.published.source}. {note}".rstrip() if task.published.source else ""


def score_table(task: TaskView) -> list[Item]:
    """Return the scores over all classes of every network, and under the decision tuned on validation events."""
    further = [m + CALIBRATED for m in ("f1", "ari") if len(task.of(m + CALIBRATED))]
    caption = f"{OURS}{paper(task)}"
    if task.published.majority is not None:
        caption += " The paper's majority class follows from its recalls and precisions."
    if not task.classes:
        caption += " The clustering of each baseline is the best on validation events."
    if further:
        caption += (
            " Calibrated: the decision (one offset per class; what an object needs to count) is chosen on validation events; the other "
            "columns follow the plain rule, the most probable class or a probability above one half."
        )
    otherwise = [m for m in COUNTED_OTHERWISE if len(task.of(m))]
    by_particle = [m for m in BY_PARTICLE if len(task.of(m))]
    if by_particle:
        caption += f" By particle ({task.view.detector.particles_of(task.name)}): true class and answer are those of most of its points."
    if otherwise:
        caption += (
            f" ARI: mean over events; pooled: of the points of all events together. Least size: of true tracks with {MIN_TRUE} points and more and "
            f"predicted ones with {MIN_PREDICTED} and more alone."
        )
    return scores(task, f"table-{task.name}", task.title, task.scores, caption, [*otherwise, *by_particle, *further])


def scores(
    task: TaskView, name: str, title: str, metrics: list[str], caption: str, further: list[str] | None = None
) -> list[Item]:
    """Return the table of some scores over all classes beside the published ones; nothing without any.

    Args:
        task: of the scores.
        name, title, caption: of the table.
        metrics: scores, with a column for the paper where it has them.
        further: scores without such a column.
    """
    further = further or []
    found = {metric: means(task, metric) for metric in (*metrics, *further)}
    keys = list(dict.fromkeys(key for rows in found.values() for key in rows))
    if not keys:
        return []
    with_paper = [m for m in metrics if any(m in row for row in task.published.rows.values())]

    def line(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[object]:
        pairs = [[ours.get(m), theirs.get(m)] if m in with_paper else [ours.get(m)] for m in metrics]
        return [c for pair in pairs for c in pair] + [ours.get(m) for m in further]

    def published(row: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        return {metric: values[""] for metric, values in row.items() if "" in values}

    body: list[list[object]] = []
    for key in keys:
        ours = {m: cell(rows.get(key)) for m, rows in found.items()}
        seeds = max(int(rows[key].seeds) for rows in found.values() if key in rows)
        body.append([key[0], labels(key), seeds, *line(ours, published(task.published.row(key[0])))])
    majority = task.whole.loc[task.whole["metric"] == "majority", "value"]
    if len(majority) and "accuracy" in metrics:
        theirs = {} if task.published.majority is None else {"accuracy": task.published.majority}
        body.append(["majority class", "", "", *line({"accuracy": float(majority.mean())}, theirs)])
    for other in task.published.others([key[0] for key in keys]) if with_paper else []:
        theirs = published(task.published.rows[other])
        if set(theirs) & set(with_paper):
            body.append([f"{other} (paper)", "", "", *line({}, theirs)])
    head = [h for m in metrics for h in (score_name(m), f"{score_name(m)}, paper")[: 1 + (m in with_paper)]]
    calibrated = [score_name(m.removesuffix(CALIBRATED)) + ", calibrated" * m.endswith(CALIBRATED) for m in further]
    return [
        table(task.view.sheet, name, title, ["system", "labels", "seeds", *head, *calibrated], body, caption, wide=True)
    ]


def class_tables(task: TaskView) -> Iterator[Item]:
    """Yield a table per score: mean and every class of each network, decisions as trained and tuned, and the published rows."""
    for metric in CLASS_SCORES:
        body: dict[tuple[str, int, str], list[object]] = {}
        for suffix, note in (("", ""), (CALIBRATED, ", decision tuned")):
            by_class = {c: means(task, metric + suffix, c) for c in task.classes}
            whole = means(task, metric + suffix)
            for key in dict.fromkeys(key for found in by_class.values() for key in found):
                cells = [cell(found.get(key)) for found in (whole, *by_class.values())]
                body[*key, note] = [f"{key[0]}{note}", labels(key), *cells]
        if not body:
            continue
        order = list(dict.fromkeys(point for point, _, _ in body))
        lines = [body[key] for key in sorted(body, key=lambda k: (order.index(k[0]), k[1], k[2]))]
        for network, rows in task.published.rows.items():
            if len(rows.get(metric, {})) > 1:
                lines.append([f"{network} (paper)", "", *(rows[metric].get(c) for c in ("", *task.classes))])
        name = class_score(metric)
        caption = (
            f"{name[0].upper()}{name[1:]} over all points of the test events. {OURS} A dash: the class does not occur. Decision tuned: the same networks "
            f"with one offset per class on the log-probabilities, chosen on validation events.{paper(task, task.published.note)}"
        )
        head = ["system", "labels", "mean", *task.classes]
        title = f"{task.title}: {name} by class"
        yield table(task.view.sheet, f"table-{task.name}-{metric}", title, head, lines, caption, wide=True)


def calibration_items(task: TaskView) -> Iterator[Item]:
    """Yield what tuned decisions change, run by run: F1 after minus before, where the classes have it."""
    keys = ["point", "n_labels", "run", "class"]
    f1 = task.rows[task.rows["metric"].isin(["f1", "f1" + CALIBRATED])].drop_duplicates(["metric", *keys])
    trained, tuned = (f1[f1["metric"] == m].set_index(keys)["value"] for m in ("f1", "f1" + CALIBRATED))
    change = (tuned - trained).dropna().rename("value").reset_index()
    if not set(change["class"]) & set(task.classes):
        return
    body: list[list[object]] = []
    for (point, n_labels), rows in change.groupby(["point", "n_labels"], sort=False):
        cells: list[object] = []
        for name in ("", *task.classes):
            found = mean_over_seeds(rows[rows["class"] == name])
            cells.append(None if found.empty else cell(next(found.itertuples())))
        body.append([point, int(str(n_labels)), *cells])
    caption = (
        "F1 with tuned decisions minus F1 as trained, the same networks and test events; 95 % over seeds. Class weights of a loss favour rare "
        "classes at the cost of their precision; this is what taking that back gains or loses."
    )
    head = ["system", "labels", "mean", *task.classes]
    title = f"{task.title}: what tuned decisions change"
    yield table(task.view.sheet, f"calibration-{task.name}", title, head, body, caption, wide=True)
