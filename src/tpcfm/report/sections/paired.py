"""Section "Is it above?": paired differences of the claims, and by name where zero lies inside their interval."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tpcfm.evaluate.comparisons import compare_plan
from tpcfm.evaluate.event_scores import CALIBRATED
from tpcfm.evaluate.paired import MIN_EVENTS, MIN_SEEDS
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item
from tpcfm.report.names import TASKS, plain_pair, score_name
from tpcfm.report.tables import Markup, table, with_interval

SHOWN = {
    "probe": ("f1",),
    "probe_fifth": ("f1",),
    "segmentation": ("f1", "f1_calibrated"),
    "tracks": ("ari", "efficiency", "purity", "ari_calibrated", "efficiency_calibrated", "purity_calibrated"),
    "pid": ("accuracy", "recall", "precision", "f1_calibrated"),
    "noise": ("accuracy", "recall", "precision", "f1_calibrated"),
}
"""Scores on the page; `tpcfm compare --plan` writes all of them. Of several tasks only those over all classes."""
TITLES = {
    "probe": "Probe of frozen tokens, F1",
    "segmentation": "Segmentation with few labels, F1",
    "adapters_tracks": "Track finding",
    "adapters_pid": "Particle identification",
    "adapters_noise": "Noise tagging",
    "ablation_adapters": "FM4NPP: one thing changed",
    "grouping_probe": "Tokenizers: probe F1 against the first one",
    "variants_probe": "Variants of the pretraining: probe F1 against the unchanged one",
    "mask_ratio_probe": "Mask ratio: probe F1 against the default",
}
NOTES = {"probe_fifth": ", after a fifth of the steps"}
KEYS = ["comparison", "task", "named", "tuned", "n_labels"]
"""What a row of the tables is about."""
TUNED = ", decision tuned on validation events"
SIGNS = {"above": "▲", "below": "▼", "zero inside": "○", "no interval": "?"}


def paired_items(plan: Plan) -> list[Item]:
    """Return a table per study and the list of what is not shown to be above."""
    frame = compare_plan(plan)
    if frame.empty:
        return []
    chosen = [m in SHOWN[t] for t, m in zip(frame["task"], frame["metric"], strict=True)]
    frame = frame[pd.Series(chosen, index=frame.index, dtype=bool)]
    frame = frame[(frame["class"] == "") | frame["task"].isin(["probe", "probe_fifth", "segmentation"])]
    if frame.empty:
        return []
    # Systems trained with different class weights decide differently between classes: tuned decisions are rows of their own.
    tuned = frame["metric"].str.endswith(CALIBRATED)
    # A study of several tasks names the task in its rows.
    several = frame["task"].where(frame["task"].isin(TASKS)).groupby(frame["study"]).transform("nunique") > 1
    named = frame["task"].map(TASKS).where(several, "").fillna("").str.lower()
    frame = frame.assign(tuned=tuned, named=named, metric=frame["metric"].str.removesuffix(CALIBRATED))
    items = [_open_questions(frame)]
    for study, rows in frame.groupby("study", sort=False):
        items.append(_table(str(study), rows))
    return items


def _table(study: str, rows: pd.DataFrame) -> Item:
    scores = list(dict.fromkeys(zip(rows["metric"], rows["class"], strict=True)))
    one_metric = len({m for m, _ in scores}) == 1
    body: list[list[object]] = []
    for (name, task, named, tuned, _), part in rows.groupby(KEYS, sort=False):
        label = (f"{named}: " if named else "") + plain_pair(str(name)) + _note(task, tuned)
        cells: list[object] = []
        for score in scores:
            found = part[(part["metric"] == score[0]) & (part["class"] == score[1])]
            cells.append(_cell(found.iloc[0]) if len(found) else None)
        events = int(part["events"].max())
        body.append(
            [
                label,
                _labels(part),
                int(part["seeds"].min()),
                events if events > 0 else "",
                *cells,
            ]
        )
    heads = [(c or "mean") if one_metric else score_name(m) for m, c in scores]
    caption = (
        "First minus second, paired by seed, with the 95 % interval over seeds and resampled test events (over seeds alone where runs "
        f"have no scores per event). {SIGNS['above']} above, {SIGNS['below']} below, {SIGNS['zero inside']} zero inside the interval, "
        f"{SIGNS['no interval']} one seed."
    )
    title = TITLES.get(study, study)
    return table(f"above-{study}", title, ["first against second", "labels", "seeds", "events", *heads], body, caption)


def _cell(row: pd.Series) -> Markup:
    text = with_interval(float(row["difference"]), float(row["low"]), float(row["high"]))
    return Markup(f"{SIGNS[row['verdict']]} {'+' if row['difference'] > 0 else ''}{text}")


def _open_questions(frame: pd.DataFrame) -> Item:
    """List, comparison by comparison, what is not shown: zero inside, one seed, or fewer seeds or events than a claim needs."""
    body: list[list[object]] = []
    for (study, name, task, named, tuned, _), part in frame.groupby(["study", *KEYS], sort=False):
        said = {
            verdict: ", ".join(_name(row) for row in part[part["verdict"] == verdict].to_dict("records"))
            for verdict in SIGNS
        }
        where = TITLES.get(str(study), str(study)) + (f", {named}" if named else "") + _note(task, tuned)
        enough = "yes" if part["enough"].all() else "no"
        body.append([f"{where}: {plain_pair(str(name))}", _labels(part), *(said[v] or "–" for v in SIGNS), enough])
    caption = (
        "For each comparison the scores where the first is above, below, or where the 95 % interval of the paired difference contains zero, by "
        f"name. Enough: at least {MIN_SEEDS} seeds and {MIN_EVENTS} test events; with fewer, no claim follows."
    )
    head = ["first against second", "labels", "above", "below", "zero inside", "one seed", "enough"]
    return table("is-it-above", "Is it above?", head, body, caption, wide=True)


def _labels(part: pd.DataFrame) -> object:
    """Return the label count of rows that share one; "" where labels play no part."""
    count = int(part["n_labels"].iloc[0])
    return count if count > 0 else ""


def _note(task: object, tuned: object) -> str:
    return NOTES.get(str(task), "") + (TUNED if tuned else "")


def _name(row: Mapping[Any, Any]) -> str:
    """Name a score: the class where it has one, else the metric, or "mean" where the title of the study names that."""
    named = "F1" in TITLES.get(str(row["study"]), "")
    return str(row["class"]) or ("mean" if named else score_name(str(row["metric"])))
