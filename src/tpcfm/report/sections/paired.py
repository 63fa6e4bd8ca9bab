"""Section "Is it above?": paired differences of the claims, and by name where zero lies inside their interval."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.evaluate.comparisons import compare_plan, standard_pairs
from tpcfm.evaluate.event_scores import CALIBRATED
from tpcfm.evaluate.paired import MIN_EVENTS, MIN_SEEDS
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.names import plain_pair, score_name, task_title
from tpcfm.report.tables import Markup, table, with_interval
from tpcfm.report.view import CLASS_SCORES, INSTANCE_SCORES, View

TITLES = {
    "probe": "Probe of frozen tokens",
    "ablation_heads": "One thing changed",
    "grouping_probe": "Tokenizers: probe against the first one",
    "variants_probe": "Variants of the pretraining: probe against the unchanged one",
    "mask_ratio_probe": "Mask ratio: probe against the default",
}
KEYS = ["comparison", "task", "named", "tuned", "n_labels"]
"""What a row of the tables is about."""
TUNED = ", decision tuned on validation events"
SIGNS = {"above": "▲", "below": "▼", "zero inside": "○", "no interval": "?"}


def paired_items(view: View) -> list[Item]:
    """Return a table per study and the list of what is not shown to be above."""
    pairs = [pair for pair in standard_pairs(view.plan) if pair.system == view.system]
    return comparison_items(compare_plan(view.plan, pairs), view.detector, view.sheet)


def comparison_items(frame: pd.DataFrame, detector: Detector, sheet: Sheet) -> list[Item]:
    """Return these items for a table of comparisons.

    Scores on the page: those of instances; of classes the ones over all classes and F1 of each, of probes F1 alone; of a study of several tasks
    only those over all classes. `tpcfm compare --plan` writes all of them.

    Args:
        frame: from `compare_plan`, of one system.
        detector: of its labels.
        sheet: makes the tables.
    """
    # Systems trained with different class weights decide differently between classes: tuned decisions are rows of their own.
    frame = frame.assign(
        tuned=frame["metric"].str.endswith(CALIBRATED), metric=frame["metric"].str.removesuffix(CALIBRATED)
    )
    several = frame["task"].where(~_probes(frame)).groupby(frame["study"]).transform("nunique") > 1
    scores = (*INSTANCE_SCORES, *(score for score in CLASS_SCORES if score != "iou"))
    shown = frame["metric"].isin(scores) & (~_probes(frame) | (frame["metric"] == "f1"))
    frame = frame[shown & ((frame["class"] == "") | (frame["metric"] == "f1") & ~several)]
    if frame.empty:
        return []
    titles = {name: task_title(name, label) for name, label in detector.labels.items()}
    # A study of several tasks names the task in its rows.
    named = frame["task"].map(titles).where(several, "").fillna("").str.lower()
    frame = frame.assign(named=named, title=[_title(study, titles) for study in frame["study"]])
    tables = [_table(str(study), rows, sheet) for study, rows in frame.groupby("study", sort=False)]
    return [_open_questions(frame, sheet), *tables]


def _probes(frame: pd.DataFrame) -> "pd.Series[bool]":
    return frame["task"] == "probe"


def _title(study: str, titles: Mapping[str, str]) -> str:
    return TITLES.get(study, titles.get(study.removeprefix("heads_"), study))


def _table(study: str, rows: pd.DataFrame, sheet: Sheet) -> Item:
    scores = list(dict.fromkeys(zip(rows["metric"], rows["class"], strict=True)))
    body: list[list[object]] = []
    for (name, _task, named, tuned, _), part in rows.groupby(KEYS, sort=False):
        label = (f"{named}: " if named else "") + plain_pair(str(name)) + _note(tuned)
        cells: list[object] = []
        for score in scores:
            found = part[(part["metric"] == score[0]) & (part["class"] == score[1])]
            cells.append(_cell(found.iloc[0]) if len(found) else None)
        events = int(part["events"].max())
        body.append([label, _labels(part), int(part["seeds"].min()), events if events > 0 else "", *cells])
    caption = (
        "First minus second, paired by seed, with the 95 % interval over seeds and resampled test events (over seeds alone where runs "
        f"have no scores per event). {SIGNS['above']} above, {SIGNS['below']} below, {SIGNS['zero inside']} zero inside the interval, "
        f"{SIGNS['no interval']} one seed. Columns named by a class: F1 of the class."
    )
    heads = [c or score_name(m) for m, c in scores]
    head = ["first against second", "labels", "seeds", "events", *heads]
    return table(sheet, f"above-{study}", rows["title"].iloc[0], head, body, caption)


def _cell(row: pd.Series) -> Markup:
    text = with_interval(float(row["difference"]), float(row["low"]), float(row["high"]))
    return Markup(f"{SIGNS[row['verdict']]} {'+' if row['difference'] > 0 else ''}{text}")


def _open_questions(frame: pd.DataFrame, sheet: Sheet) -> Item:
    """List, comparison by comparison, what is not shown: zero inside, one seed, or fewer seeds or events than a claim needs."""
    body: list[list[object]] = []
    for (title, name, _task, named, tuned, _), part in frame.groupby(["title", *KEYS], sort=False):
        said = {
            verdict: ", ".join(_name(row) for row in part[part["verdict"] == verdict].to_dict("records"))
            for verdict in SIGNS
        }
        where = str(title) + (f", {named}" if named else "") + _note(tuned)
        enough = "yes" if part["enough"].all() else "no"
        body.append([f"{where}: {plain_pair(str(name))}", _labels(part), *(said[v] or "–" for v in SIGNS), enough])
    caption = (
        "For each comparison the scores where the first is above, below, or where the 95 % interval of the paired difference contains zero, by "
        "name (of a class: its F1). "
        f"Enough: at least {MIN_SEEDS} seeds and {MIN_EVENTS} test events; with fewer, no claim follows."
    )
    head = ["first against second", "labels", "above", "below", "zero inside", "one seed", "enough"]
    return table(sheet, "is-it-above", "Is it above?", head, body, caption, wide=True)


def _labels(part: pd.DataFrame) -> object:
    """Return the label count of rows that share one; "" where labels play no part."""
    count = int(part["n_labels"].iloc[0])
    return count if count > 0 else ""


def _note(tuned: object) -> str:
    return TUNED if tuned else ""


def _name(row: Mapping[Any, Any]) -> str:
    return str(row["class"]) or score_name(str(row["metric"]))
