"""Binned efficiencies count each track of enough points once, in the bin of its momentum, and survive the metrics table."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tpcfm.evaluate.momentum_bins import MomentumTally, momentum_rows
from tpcfm.evaluate.selected_tracks import Particles
from tpcfm.report.draw.style import Sheet
from tpcfm.report.sections.momentum import momentum_items

TRUTH = np.repeat([0, 1, 2], [20, 20, 3])
XYZ = np.random.default_rng(0).uniform(30, 70, (43, 3))
PARTICLES = Particles(np.arange(3), np.array([0.25, 0.6, 0.6]), np.zeros(3), np.zeros(3), np.ones(3, int))


def test_tracks_are_counted_in_the_bin_of_their_true_momentum() -> None:
    tally = MomentumTally(0.0042)
    lost = np.where(TRUTH == 1, -1, TRUTH)  # the second track is not found
    tally.update(TRUTH, lost, XYZ, PARTICLES)
    tally.update(TRUTH, TRUTH, XYZ, PARTICLES)
    values = {k: v for k, v in tally.values().items() if k.startswith("efficiency_pt_truth")}
    assert values == {
        "efficiency_pt_truth_0.2_0.3": 1.0, "efficiency_pt_truth_0.2_0.3_tracks": 2.0,
        "efficiency_pt_truth_0.5_0.75": 0.5, "efficiency_pt_truth_0.5_0.75_tracks": 2.0,
    }  # fmt: skip
    low, high = tally.intervals()["efficiency_pt_truth_0.5_0.75"]
    assert low < 0.5 < high


def test_without_particles_only_fits_are_used() -> None:
    tally = MomentumTally(0.0042)
    tally.update(TRUTH, TRUTH, XYZ, None)
    assert all(name.startswith("efficiency_pt_fit") for name in tally.values())


@pytest.fixture
def metrics() -> pd.DataFrame:
    tally = MomentumTally(0.0042)
    tally.update(TRUTH, TRUTH, XYZ, PARTICLES)
    bounds = tally.intervals()
    rows = [
        {"metric": k, "value": v, "low": bounds.get(k, (np.nan,) * 2)[0], "high": bounds.get(k, (np.nan,) * 2)[1]}
        for k, v in tally.values().items()
    ]
    return pd.DataFrame(
        [{"point": "adapter only", "n_labels": 10, "seed": 0, **row} for row in rows]
        + [{"point": "adapter only", "n_labels": 10, "seed": 0, "metric": "ari", "value": 1.0}]
    )


def test_bins_are_read_back_from_the_metrics_table(metrics: pd.DataFrame) -> None:
    rows = momentum_rows(metrics, "truth")
    assert rows[["pt_low", "pt_high", "value", "tracks"]].to_numpy().tolist() == [
        [0.2, 0.3, 1.0, 1.0],
        [0.5, 0.75, 1.0, 1.0],
    ]


def test_the_report_shows_them_if_they_are_there(metrics: pd.DataFrame, tmp_path) -> None:
    view = SimpleNamespace(sheet=Sheet(tmp_path, "tiny"))
    items = momentum_items(SimpleNamespace(name="track", title="Tracks", rows=metrics, view=view))
    assert [item.name for item in items] == ["efficiency-pt-track", "table-efficiency-pt-track"]
    assert "0.5 to 0.75" in items[1].html
    assert (
        momentum_items(
            SimpleNamespace(name="track", title="Tracks", rows=metrics[metrics["metric"] == "ari"], view=view)
        )
        == []
    )
