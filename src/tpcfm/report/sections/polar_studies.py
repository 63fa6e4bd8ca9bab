"""Ablations of PoLAr-MAE pretraining: tokenizers beside Table 4 of the paper, and the variants of its Appendix F."""

import pandas as pd

from tpcfm.evaluate.study import collect_studies
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item
from tpcfm.report.names import ABBREVIATIONS, tokenizer
from tpcfm.report.published import numbers as published
from tpcfm.report.tables import Markup, share_with_interval, table

CLASSES = ("mean", "track", "shower", "delta", "Michel")


def polar_study_items(plan: Plan) -> list[Item]:
    """Return the tables of the grouping study and of the pretraining variants, as far as they were run."""
    frame = collect_studies(plan, ["ablations"])
    frame = frame[(frame["task"] == "probe") & (frame["metric"] == "f1")]
    return [*_grouping(plan, frame), *_variants(plan, frame)]


def _rows(frame: pd.DataFrame) -> list[list[object]]:
    body: list[list[object]] = []
    for point, values in frame.groupby("point", sort=False):
        cells: list[object] = []
        for name in CLASSES:
            chosen = values[values["class"] == ("" if name == "mean" else name)]
            cells.append(Markup(share_with_interval(*chosen[["value", "low", "high"]].mean())) if len(chosen) else None)
        body.append([f"{tokenizer(str(point))} (here)", _steps_of(values), *cells])
    return body


def _steps_of(values: pd.DataFrame) -> object:
    return int(values["steps"].iloc[0]) if "steps" in values else ""


def _with_steps(plan: Plan, frame: pd.DataFrame) -> pd.DataFrame:
    pretrained = {run: plan.runs[run].pretrained for run in frame["run"].unique()}
    steps = {run: plan.runs[str(p)].config["train"]["steps"] for run, p in pretrained.items() if p}
    return frame.assign(steps=frame["run"].map(steps))


def _grouping(plan: Plan, frame: pd.DataFrame) -> list[Item]:
    rows = frame[frame["study"] == "grouping_probe"]
    if rows.empty:
        return []
    body = _rows(_with_steps(plan, rows))
    for name, numbers in published.GROUPING.items():
        body.append([f"{name} (paper, {published.DATA_2502})", 100_000, *(numbers[c] for c in CLASSES)])
    caption = (
        "Each tokenizer with its own pretraining of the same steps and its own probe; a token counts for a class if any of its points has it, so "
        f"tokenizers with other groups are asked other questions. Paper: arXiv 2502.02558, Table 4, {published.DATA_2502}; f = 0.73 where none is named, and "
        f"its run with the smallest f ran out of memory. {ABBREVIATIONS}"
    )
    return [table("grouping", "Grouping strategies", ["tokenizer", "steps", *CLASSES], body, caption, wide=True)]


def _variants(plan: Plan, frame: pd.DataFrame) -> list[Item]:
    rows = frame[frame["study"] == "variants_probe"]
    if rows.empty:
        return []
    caption = (
        "Probe F1 of pretrainings that change one thing. autoencode: visible groups are predicted, too; group_energy: energies relative to the mean "
        "of their group, which is embedded like its centre; diffusion: the decoder sees noised copies of the masked groups (all three are reported as "
        "worse, without numbers, in arXiv 2502.02558, App. F); block_masking: the masked tokens are neighbours."
    )
    head = ["variant", "steps", *CLASSES]
    return [table("variants", "Variants of the pretraining", head, _rows(_with_steps(plan, rows)), caption, wide=True)]
