"""Table of the tracks that experiments quote: our efficiencies beside the published ones, nothing without such tracks."""

from pages import demo_plan, view_of
from tpcfm.evaluate.table import metrics_frame
from tpcfm.report.published.fm4npp import TASKS
from tpcfm.report.sections.instances import selected_table
from tpcfm.report.view import TaskView


def task(folder, values: dict[str, float]) -> TaskView:
    rows = metrics_frame({"run": "kalman", "n_labels": 0, "metric": m, "value": v} for m, v in values.items())
    view = view_of(demo_plan(folder, "fm4npp"), folder)
    return TaskView(view, "track", view.detector.labels["track"], rows.assign(point="Kalman filter"), TASKS["track"])


def test_ours_stand_beside_the_published_ones(tmp_path) -> None:
    values = {"efficiency_selected": 0.875, "efficiency_selected_tracks": 16.0, "efficiency_selected_primary": 0.999}
    (item,) = selected_table(task(tmp_path, values))
    text = str(item)
    assert "Kalman filter" in text
    for number in ("0.875", "0.999", "0.946", "0.996", "0.947"):
        assert number in text, number


def test_no_selected_tracks_no_table(tmp_path) -> None:
    assert selected_table(task(tmp_path, {"ari": 0.9})) == []
