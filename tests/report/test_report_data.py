"""Section "Data": what is published of a detector and what the statistics say of a dataset have the same names."""

from pathlib import Path

import pytest

from pages import demo_plan
from tpcfm.detectors.registry import load_detector
from tpcfm.files import write_json
from tpcfm.report.draw.style import Sheet
from tpcfm.report.sections.data import data_items, measured_values, published_values
from tpcfm.report.view import View
from tpcfm.workspace import Workspace


def histogram(mean: float) -> dict[str, object]:
    return {"edges": [1, 2, 4, 8, 16], "counts": [0, 3, 2, 0], "mean": mean, "std": 1.5}


STATISTICS = {
    "pilarnet": {
        "histograms": {"points_per_event": histogram(4), "fragments_per_event": histogram(3), "energy": histogram(0.4)},
        "shares": {"semantic": {"0": 0.3, "1": 0.4, "2": 0.0, "3": 0.1, "4": 0.2}},
    },
    "sphenix": {
        "histograms": {"points_per_event": histogram(5), "tracks_per_event": histogram(2), "energy": histogram(250)},
        "shares": {"noise": {"0": 0.75, "1": 0.25}},
    },
}


@pytest.mark.parametrize("name", STATISTICS)
def test_published_and_measured_have_the_same_names(name: str) -> None:
    detector = load_detector(name)
    published, ours = published_values(detector), measured_values(STATISTICS[name], detector)
    labels = [key for key in detector.classes() if key in STATISTICS[name]["shares"]]
    assert {key for key in published if key.endswith("per event")} <= set(ours)
    assert {key for key in published if any(key.startswith(f"{label}: share") for label in labels)} <= set(ours)


def test_shares_are_of_the_points_that_are_kept_except_of_what_is_removed() -> None:
    detector = load_detector("pilarnet")
    ours, published = measured_values(STATISTICS["pilarnet"], detector), published_values(detector)
    assert ours["semantic: share of track"] == pytest.approx(0.5)
    assert ours["semantic: share of low energy, all points"] == pytest.approx(0.2)
    assert published["semantic: share of low energy, all points"] == pytest.approx(1145363125 / 5236354643)
    assert published["points per event"] == pytest.approx(5236354643 / 1210080)
    assert published["fragments per event"] == pytest.approx(28251859 / 1210080)


def test_every_dataset_has_a_table_and_its_distributions(tmp_path: Path) -> None:
    plan = demo_plan(tmp_path)
    about = {"events": 5, "points": 20, "parts": [1], "splits": {"train": 5}, "rejected": 0}
    for name, dataset in plan.datasets.items():
        manifest = {**about, "dataset": dataset.name, "statistics": STATISTICS[dataset.detector]}
        write_json(Workspace(tmp_path).event_manifest(name), manifest)
    items = data_items(View(plan, Sheet(tmp_path / "figures", "tiny")))
    lartpc, collider = plan.datasets
    assert [item.name for item in items] == [f"{k}data-{n}" for n in (lartpc, collider) for k in ("table-", "")]
    assert "energy (ADC): mean" in items[2].html
    assert "fragments per event" in items[0].html


def test_values_that_no_bin_holds_are_named(tmp_path: Path) -> None:
    """Pedestal-subtracted charges may be negative; the bins begin above 0."""
    plan = demo_plan(tmp_path)
    about = {"events": 5, "points": 20, "parts": [1], "splits": {"train": 5}, "rejected": 0}
    for name, dataset in plan.datasets.items():
        energy = {**histogram(3), "n": 20, "below": 5}
        statistics = {"histograms": {"points_per_event": histogram(4), "energy": energy}, "shares": {}}
        write_json(
            Workspace(tmp_path).event_manifest(name), {**about, "dataset": dataset.name, "statistics": statistics}
        )
    items = data_items(View(plan, Sheet(tmp_path / "figures", "tiny")))
    assert "not drawn: 25.0% of energy." in items[1].caption
