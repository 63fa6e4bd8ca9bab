"""Figures and table of found tracks: made of the tracks that runs leave, with their numbers; nothing without them."""

import numpy as np
import pandas as pd
import pytest

from pages import demo_plan, named, table_of, view_of
from tpcfm.evaluate.found_tracks import NAME
from tpcfm.evaluate.table import metrics_frame
from tpcfm.report.published.lookup import published_task
from tpcfm.report.sections.found_tracks import track_items
from tpcfm.report.view import TaskView


@pytest.fixture
def task(tmp_path):
    values = {"fake_rate": 0.125, "duplicate_rate": 0.0625, "pt_resolution": 0.031, "charge_correct": 0.975}
    rows = metrics_frame({"run": "one", "n_labels": 100, "metric": m, "value": v} for m, v in values.items())
    view = view_of(demo_plan(tmp_path, "fm4npp"), tmp_path)
    published = published_task("fm4npp", view.detector.name, "track")
    return TaskView(view, "track", view.detector.labels["track"], rows.assign(point="one network"), published)


def tracks(known: bool) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    pt, eta = np.exp(rng.uniform(-2, 1, n)), rng.uniform(-1, 1, n)
    same = {"points": 30, "eta": eta, "occupancy": rng.integers(100, 900, n), "known": known}
    true = pd.DataFrame({"kind": "true", "pt": pt, "matched": rng.random(n) < 0.8, **same})
    found = pd.DataFrame(
        {
            "kind": "found", "pt": pt * rng.normal(1, 0.03, n), "fate": rng.choice(["good", "duplicate", "fake"], n), "charge": 1,
            "true_pt": pt if known else np.nan, "true_charge": int(known), **same,
        }
    )  # fmt: skip
    return pd.concat([true, found], ignore_index=True)


@pytest.mark.parametrize("known", [True, False], ids=["truth", "no truth"])
def test_figures_and_table(task, known: bool) -> None:
    folder = task.view.workspace.run("one")
    folder.mkdir(parents=True)
    tracks(known).to_parquet(folder / NAME)
    found = named(track_items(task))
    assert set(found) == {"tracks-track", "table-track-tracks"} | ({"track-fits-track"} if known else set())
    assert ("helix fits to the true tracks" in found["tracks-track"].caption) != known
    cells = table_of(found["table-track-tracks"]).loc["one network"]
    assert cells[["labels", "fakes", "pT bias"]].tolist() == ["100", "0.125", "–"]


def test_nothing_without_tracks(task) -> None:
    assert track_items(task) == []
