"""Floors stand beside every loss and accuracy, thin fits say that they are, and changes carry their interval over seeds."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from pages import demo_plan, row, view_of
from tpcfm.detectors.registry import load_detector
from tpcfm.evaluate.intervals import paired_difference
from tpcfm.report.draw.style import Sheet
from tpcfm.report.sections.ablations import variants_table
from tpcfm.report.sections.events import shown_runs, telling_event
from tpcfm.report.sections.floors import draw_floor, draw_majority
from tpcfm.report.sections.scaling import scaling_items
from tpcfm.scaling.power_law import fit_power_law
from tpcfm.scaling.study import COORDINATE_COLUMNS, compute_front, fit_studies, scaling_points
from tpcfm.systems.fm4npp.choice import compared_runs


def adapters(values):
    """Metrics of ablation adapters: {(point, task): scores by seed}."""
    metric = {"track": "ari", "pid": "accuracy", "noise": "accuracy"}
    return pd.DataFrame(
        {"study": "ablation_heads", "axis": f"variant/{t}", "point": p, "split": "test", "class": "", "metric": metric[t], "seed": s, "value": v}
        for (p, t), scores in values.items()
        for s, v in enumerate(scores)
    )  # fmt: skip


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return view_of(demo_plan(folder, "fm4npp"), folder)


def test_changes_are_paired_by_seed_with_intervals_and_the_gap_to_one(view):
    base, other = [0.60, 0.70, 0.80], [0.58, 0.69, 0.77]
    (item,) = variants_table(view, adapters({("base (k=30, raster)", "pid"): base, ("k=1", "pid"): other}))
    found = paired_difference(other, base)
    score, change, gap = row(item, "k=1 (here)")
    assert score.startswith("0.6800 [")
    assert change == f"-0.0200 [{found.low:+.4f}, {found.high:+.4f}]"
    growth = sum((0.02 / 0.4, 0.01 / 0.3, 0.03 / 0.2)) / 3
    assert gap.startswith(f"{100 * growth:+.1f} % [")
    assert row(item, "base (k=30, raster) (here)")[1:] == ["", ""]
    assert row(item, "k=1 (paper)") == ["", "-0.0049", ""]
    assert "95 % over 3 seeds" in item.caption


def test_one_seed_has_no_interval_and_says_that_nothing_is_settled(view):
    (item,) = variants_table(view, adapters({("base (k=30, raster)", "noise"): [0.9], ("hilbert", "noise"): [0.91]}))
    assert row(item, "hilbert (here)") == ["0.9100", "+0.0100", "-10.0 %"]
    assert "One seed" in item.caption


def scaling_folder(folder, sizes, seen):
    rows = []
    for n, size in enumerate(sizes):
        common = {
            "system": "fm4npp",
            "study": "scaling_size",
            "axis": "size",
            "point": size,
            "run": size,
            "seed": 0,
            "class": "",
            "split": "validation",
        }
        found = {"parameters": 1e5 * 4.0**n, "validation_loss": 0.03 * 0.9**n, "floor_own_position": 0.0311}
        found |= {"points_seen": seen[n], "flops": 1e10}
        rows += [{**common, "metric": name, "value": value} for name, value in found.items()]
    metrics = pd.DataFrame(rows)
    points = scaling_points(metrics)
    fits, curves = fit_studies(points)
    folder.mkdir()
    tables = {
        "coordinates": pd.DataFrame(columns=COORDINATE_COLUMNS),
        "metrics": metrics,
        "points": points,
        "fits": fits,
        "curves": curves,
        "front": compute_front(points),
    }
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def few_draws(monkeypatch):
    """Bands are not looked at here."""
    monkeypatch.setattr("tpcfm.scaling.study.fit_power_law", partial(fit_power_law, draws=2))


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize(("count", "thin"), [(3, True), (5, False)])
def test_the_law_names_its_points_floor_and_budget(view, tmp_path, count, thin):
    sizes = [f"m{i + 1}" for i in range(count)]
    folder = scaling_folder(tmp_path / "scaling", sizes, [1000.0] * count)
    items = {i.name: i for i in scaling_items(view, folder)}
    figure = items["scaling"]
    assert (f"illustrative: {count} points" in figure.html) == thin
    assert "floor: own position" in figure.html
    assert "Budget of every size: 1e+03 training points." in figure.caption


@pytest.mark.usefixtures("few_draws")
def test_sizes_with_other_budgets_are_named(view, tmp_path):
    folder = scaling_folder(tmp_path / "scaling", ["m1", "m2"], [1000.0, 2000.0])
    items = {i.name: i for i in scaling_items(view, folder)}
    assert "Budgets in training points differ: m1 1e+03, m2 2e+03" in items["scaling"].caption


def test_floors_are_drawn_where_they_are_known_and_one(tmp_path):
    def lines(draw, values, metric, split):
        _, axes = Sheet(tmp_path, "demo").axes()
        draw(axes, pd.DataFrame({"metric": metric, "value": values, "split": split}))
        return [line.get_ydata()[0] for line in axes.lines]

    assert lines(draw_floor, [0.2, 0.2], "floor_own_position", "validation") == [0.2]
    assert lines(draw_floor, [0.2, 0.3], "floor_own_position", "validation") == []  # two objectives: no common floor
    assert lines(draw_floor, [0.2], "validation_loss", "validation") == []
    assert lines(draw_floor, [0.2], "floor_own_position", "test") == []
    assert lines(draw_majority, [0.8, 0.9], "majority", "test") == [pytest.approx(0.85)]


def test_the_event_shown_for_species_has_most_of_them():
    frame = pd.DataFrame(
        [
            {"event_id": e, "x": t, "truth": np.array(t)}
            for e, t in (("a", [1] * 6), ("b", [0, 1, 2, 1]), ("c", [1] * 9))
        ]
    ).set_index("event_id")
    frames, detector = {"adapter only": frame, "m1": frame.iloc[::-1]}, load_detector("sphenix")
    assert telling_event(frames, detector, "pid") == ("b", "with most classes, and of those most points of the rarest")
    assert telling_event(frames, detector, "track") == ("a", "of median size")


def test_runs_shown_beside_each_other_differ_in_the_pretraining_alone(tmp_path):
    plan = demo_plan(tmp_path)
    found = shown_runs(plan, "fm4npp", lambda run: True)
    assert found == {task: compared_runs(plan, "fm4npp", task) for task in ("track", "pid", "noise")}
    control, best = (plan.runs[run] for run in shown_runs(plan, "polar_mae", lambda run: True)["semantic"].values())
    assert best.pretrained
    assert not control.pretrained
    assert (control.n_labels, control.seed, control.config["mode"]) == (best.n_labels, best.seed, best.config["mode"])
