"""Classes are scored by particle where the detector says which objects are particles, and the events know them; else by points alone."""

import numpy as np
import pytest

from pages import demo_plan, named, view_of
from plans import ROOT
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.evaluate.table import metrics_frame
from tpcfm.report.published.lookup import published_task
from tpcfm.report.sections.label_curves import confusion_items
from tpcfm.report.sections.label_tables import score_table
from tpcfm.report.view import TaskView
from tpcfm.tasks.classes import ClassScores

NAMES = ["one", "two"]


def make(values: dict, intervals: dict, name: str) -> list[dict]:
    return [
        {"metric": m, "class": name, "value": v, **dict(zip(("low", "high"), intervals.get(m, ()), strict=False))}
        for m, v in values.items()
    ]


def scored(owner: np.ndarray | None) -> list[dict]:
    """Two events of three particles: of the second one point is right, its particle wrong."""
    truth = np.array([0, 0, 0, 1, 1, 1, -1, 0, 0])
    decided = np.array([0, 0, 1, 0, 0, 1, 1, 0, 0])
    scores = ClassScores(NAMES)
    found = scores.update(truth, np.log(np.eye(2, dtype=np.float32)[decided] * 0.8 + 0.1), np.array([0, 7, 9]), owner)
    np.testing.assert_array_equal(found, decided)
    return scores.particle_rows(make)


def test_particles_have_the_class_of_most_of_their_points() -> None:
    rows = {(row["metric"], row["class"]): row for row in scored(np.array([4, 4, 4, 2, 2, 2, -1, 0, 0]))}
    cells = {name: row["value"] for (metric, name), row in rows.items() if metric == "particle_confusion"}
    assert cells == {"one>one": 2, "one>two": 0, "two>one": 1, "two>two": 0}
    accuracy = rows["particle_accuracy", ""]
    assert accuracy["value"] == pytest.approx(2 / 3)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert rows["particle_f1", ""]["value"] == pytest.approx((2 * 2 / (2 * 2 + 1)) / 2)


def test_nothing_by_particle_without_particles() -> None:
    assert scored(None) == []
    assert scored(np.full(9, -1)) == []


def test_a_detector_says_what_a_particle_is() -> None:
    assert load_detector("pilarnet").particles_of("pid") == "group"
    assert load_detector("sphenix").particles_of("pid") == "track"
    assert load_detector(str(ROOT / "examples" / "acts" / "detector.yaml")).particle is None
    plain = load_detector("pilarnet").model_dump(mode="json", exclude_defaults=True)
    assert Detector.model_validate({**plain, "particle": "fragment"}).hash == load_detector("pilarnet").hash
    with pytest.raises(ValueError, match="particle: 'semantic' is no instance label of this detector"):
        Detector.model_validate({**plain, "particle": "semantic"})


def test_the_report_shows_them(tmp_path) -> None:
    values = {"accuracy": 0.8, "f1": 0.7, "particle_accuracy": 0.9125, "particle_f1": 0.75}
    rows = [{"run": "one", "n_labels": 100, "split": "test", "metric": m, "value": v} for m, v in values.items()]
    cell = {"run": "one", "n_labels": 100, "split": "test", "metric": "particle_confusion", "value": 3.0}
    rows += [{**cell, "class": f"{a}>{b}"} for a in NAMES for b in NAMES]
    view = view_of(demo_plan(tmp_path, "polar_mae"), tmp_path)
    published = published_task("polar_mae", view.detector.name, "semantic")
    task = TaskView(
        view, "semantic", view.detector.labels["semantic"], metrics_frame(rows).assign(point="a"), published
    )
    (table,) = score_table(task)
    assert "accuracy by particle" in table.html
    assert "0.912" in table.html
    assert "By particle (group)" in table.caption
    found = named(confusion_items(task))
    assert set(found) == {"confusion-semantic-particles"}
    assert "A particle (group)" in found["confusion-semantic-particles"].caption
