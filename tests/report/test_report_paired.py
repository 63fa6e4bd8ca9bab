"""Section "Is it above?": tasks of one study stay apart, calibrated decisions are rows of their own, and systems have their names."""

import itertools
import re

import pandas as pd
import pytest

from tpcfm.evaluate.paired import COLUMNS
from tpcfm.report.sections import paired


@pytest.fixture
def items(monkeypatch):
    """Items of an ablation on two tasks and of track finding, plain and calibrated."""
    rows = []
    for (study, name), (task, metrics) in itertools.product(
        [("ablation_adapters", "base against k=1"), ("adapters_tracks", "m1 pretrained against voxel_unet")],
        {"tracks": ("ari", "ari_calibrated"), "pid": ("accuracy", "f1_calibrated")}.items(),
    ):
        if study == "adapters_tracks" and task != "tracks":
            continue
        for metric in metrics:
            row = dict.fromkeys(COLUMNS, 0.0) | {"task": task, "metric": metric, "class": "", "n_labels": 100}
            row |= {"difference": 0.1, "low": 0.05, "high": 0.15, "verdict": "above", "seeds": 5, "events": 250}
            rows.append(row | {"enough": True, "study": study, "comparison": name})
    monkeypatch.setattr(paired, "compare_plan", lambda plan: pd.DataFrame(rows))
    return {item.name: item for item in paired.paired_items(None)}


def lines(item) -> list[list[str]]:
    """Cells of a table."""
    found = re.findall(r"<tr>(.*?)</tr>", item.html, re.S)
    return [[re.sub(r"<[^>]+>", "", c).strip() for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)] for row in found]


def test_tasks_of_one_study_have_rows_of_their_own(items):
    head, *body = lines(items["above-ablation_adapters"])
    assert head[4:] == ["ARI", "accuracy", "macro F1"]
    tuned = ", decision tuned on validation events"
    assert [row[0] for row in body] == [
        "track finding: base against k=1",
        "track finding: base against k=1" + tuned,
        "particle identification: base against k=1",
        "particle identification: base against k=1" + tuned,
    ]
    assert [sum("▲" in cell for cell in row) for row in body] == [1, 1, 1, 1]


def test_systems_and_scores_have_the_names_of_the_field(items):
    rows = {row[0]: row[2] for row in lines(items["is-it-above"])[1:]}
    assert rows["Track finding: m1 pretrained against voxel U-Net with queries"] == "ARI"
    ablation = "FM4NPP: one thing changed, particle identification"
    assert rows[f"{ablation}, decision tuned on validation events: base against k=1"] == "macro F1"
    assert len(rows) == 6
