"""Table of the tracks that experiments quote: our efficiencies beside the published ones, nothing without such tracks."""

import pandas as pd

from tpcfm.report.sections.comparison import selected_table


def frame(values: dict[str, float]) -> pd.DataFrame:
    common = {"point": "Kalman filter", "n_labels": 0}
    return pd.DataFrame([{**common, "metric": metric, "value": value} for metric, value in values.items()])


def test_ours_stand_beside_the_published_ones() -> None:
    values = {"efficiency_selected": 0.875, "efficiency_selected_tracks": 16.0, "efficiency_selected_primary": 0.999}
    (item,) = selected_table(frame(values))
    text = str(item)
    assert "Kalman filter" in text
    for number in ("0.875", "0.999", "0.946", "0.996", "0.947"):
        assert number in text, number


def test_no_selected_tracks_no_table() -> None:
    assert selected_table(frame({"ari": 0.9})) == []
