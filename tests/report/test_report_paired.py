"""Section "Is it above?": tasks of one study stay apart, calibrated decisions are rows of their own, and systems have their names."""

import itertools
import re

import pandas as pd
import pytest

from tpcfm.detectors.registry import load_detector
from tpcfm.evaluate.paired import COLUMNS
from tpcfm.report.draw.style import Sheet
from tpcfm.report.sections.paired import comparison_items


@pytest.fixture
def items(tmp_path):
    """Items of an ablation on two tasks and of track finding, plain and calibrated."""
    rows = []
    for (study, name), (task, metrics) in itertools.product(
        [("ablation_heads", "base against k=1"), ("heads_track", "m1 pretrained against voxel_unet")],
        {"track": ("ari", "ari_calibrated"), "pid": ("accuracy", "f1_calibrated")}.items(),
    ):
        if study == "heads_track" and task != "track":
            continue
        for metric in metrics:
            row = dict.fromkeys(COLUMNS, 0.0) | {"task": task, "metric": metric, "class": "", "n_labels": 100}
            row |= {"difference": 0.1, "low": 0.05, "high": 0.15, "verdict": "above", "seeds": 5, "events": 250}
            rows.append(row | {"enough": True, "study": study, "comparison": name})
    found = comparison_items(pd.DataFrame(rows), load_detector("sphenix"), Sheet(tmp_path, "demo"))
    return {item.name: item for item in found}


def lines(item) -> list[list[str]]:
    """Cells of a table."""
    found = re.findall(r"<tr>(.*?)</tr>", item.html, re.S)
    return [[re.sub(r"<[^>]+>", "", c).strip() for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)] for row in found]


def test_tasks_of_one_study_have_rows_of_their_own(items):
    head, *body = lines(items["above-ablation_heads"])
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
    ablation = "One thing changed, particle identification"
    assert rows[f"{ablation}, decision tuned on validation events: base against k=1"] == "macro F1"
    assert len(rows) == 6
