"""Pictures: every panel shows its points, colours follow the truth, titles carry the numbers, items hold still and data."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pages import demo_plan, view_of
from tpcfm.detectors.registry import load_detector
from tpcfm.report.draw.embed import SCRIPT, show_picture
from tpcfm.report.draw.networks import attention_picture, reconstruction_picture
from tpcfm.report.draw.panels import Cloud, Panel, Picture
from tpcfm.report.draw.predictions import matched, object_colours, pair_picture, prediction_picture
from tpcfm.report.draw.rotatable import rotatable
from tpcfm.report.draw.stills import still
from tpcfm.report.draw.style import Sheet
from tpcfm.report.sections.features import feature_items
from tpcfm.report.sections.serialization import serialization_items

SPHENIX, PILARNET = load_detector("sphenix"), load_detector("pilarnet")
RNG = np.random.default_rng(0)


def event(n: int = 60, **labels: np.ndarray) -> dict[str, np.ndarray]:
    return {axis: RNG.uniform(-50, 50, n).astype(np.float32) for axis in "xyz"} | labels


def test_a_predicted_track_has_the_colour_of_its_true_track() -> None:
    truth = np.repeat([7, 3, 5], 10)
    same = object_colours(truth, np.repeat([0, 1, 2], 10))
    assert same == object_colours(truth, truth)
    split = object_colours(truth, np.r_[np.repeat(0, 6), np.repeat(9, 4), np.repeat(1, 10), np.repeat(-1, 10)])
    assert split[0] == same[0]
    assert split[6] not in same
    assert len(set(split[20:])) == 1
    assert split[20] not in same


def test_titles_carry_counts_recall_and_precision() -> None:
    truth = np.repeat([1, 2], 30)
    predicted = truth.copy()
    predicted[:15] = 2
    systems = {"adapter only": event(truth=truth, prediction=predicted), "FM4NPP": event(truth=truth, prediction=truth)}
    panels = prediction_picture(systems, SPHENIX, "pid").panels
    assert [p.title for p in panels] == ["truth", "adapter only", "FM4NPP", "wrong: FM4NPP"]
    assert "pion: 30 points" in panels[0].text
    assert "pion: 15, recall 0.50, precision 1.00" in panels[1].text
    assert "kaon: 45, recall 1.00, precision 0.67" in panels[1].text
    tracks = prediction_picture({"a": event(truth=truth, prediction=truth)}, SPHENIX, "track").panels
    assert "2 tracks, ARI 1.00" in tracks[1].text


def test_without_truth_only_the_prediction_is_drawn() -> None:
    labels = RNG.integers(0, 4, 60)
    assert [p.title for p in prediction_picture({"run": event(prediction=labels)}, PILARNET, "semantic").panels] == [
        "run"
    ]
    assert [p.title for p in prediction_picture({"run": event(prediction=labels)}, SPHENIX, "pid").panels] == ["run"]


def test_segmentation_counts_wrong_points() -> None:
    truth = np.repeat([0, 1], 30)
    one = event(truth=truth, prediction=np.where(np.arange(60) < 9, 3, truth))
    picture = prediction_picture({"run": one}, PILARNET, "semantic")
    assert picture.panels[-1].text == ["9 of 60 points"]
    assert sum(len(c.xyz) for c in picture.panels[0].clouds) == 60


def test_a_wrong_point_of_an_instance_does_not_depend_on_numbers() -> None:
    truth = np.repeat([3, 8, -1], 10)
    renamed = np.repeat([1, 0, -1], 10)
    assert matched(truth, renamed).all()
    assert (~matched(truth, np.where(np.arange(30) < 4, -1, renamed))).sum() == 4
    assert (~matched(truth, np.where(np.arange(30) > 27, 0, renamed))).sum() == 2  # background that is put on an object


def test_a_pair_is_shown_with_the_points_near_it() -> None:
    truth = np.repeat([0, 1, 2], 20)
    one = event(truth=truth, prediction=np.zeros(60, int))
    panels = pair_picture({"a": one, "b": one | {"prediction": truth}}, {"track_a": 0, "track_b": 1}, SPHENIX).panels
    assert panels[0].text == ["20 and 20 points"]
    assert panels[1].text == ["in predicted tracks with 40 of these points"]
    assert panels[2].text == ["in predicted tracks with 20, 20 of these points"]


def test_the_menu_holds_every_head_and_changes_every_panel() -> None:
    tokens = pd.DataFrame(event(20))
    rows = [
        {"query": q, "token": t, "layer": layer, "head": head, "weight": RNG.dirichlet(np.ones(20))}
        for q, t in (("track", 3), ("shower", 5)) for layer in (1, 2) for head in (1, 2, 3)
    ]  # fmt: skip
    picture = attention_picture(tokens, pd.DataFrame(rows), PILARNET)
    figure = rotatable(picture)
    buttons = figure.layout.updatemenus[0].buttons
    assert [b.label for b in buttons] == [f"layer {a}, head {b}" for a in (1, 2) for b in (1, 2, 3)]
    assert all(len(b.args[1]) == 2 for b in buttons)
    active = figure.layout.updatemenus[0].active
    assert buttons[active].label == picture.first


def test_reconstruction_shows_masked_groups_beside_the_prediction() -> None:
    columns = {
        f"{k}_{a}": RNG.uniform(1, 9, n)
        for k, n in (("visible", 30), ("masked", 12), ("predicted", 12))
        for a in ("x", "y", "z", "energy")
    }
    assert len(reconstruction_picture(columns, PILARNET).panels) == 3
    assert (
        len(reconstruction_picture(columns | {"masked_energy_predicted": RNG.uniform(1, 9, 12)}, PILARNET).panels) == 4
    )
    silent = {name: values for name, values in columns.items() if "energy" not in name}
    assert len(reconstruction_picture(silent, PILARNET.model_copy(update={"signal": []})).panels) == 3


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_panels_share_axes_and_camera(count: int) -> None:
    picture = Picture([Panel(f"p{k}", [Cloud(RNG.uniform(0, 700, (9, 3)), name="a")]) for k in range(count)], PILARNET)
    figure = rotatable(picture)
    scenes = [figure.layout[f"scene{k + 1 if k else ''}"] for k in range(count)]
    assert len({s.xaxis.range for s in scenes}) == 1
    assert figure.layout.meta["linked"] == (count > 1)
    assert sum(t.mode == "markers" for t in figure.data) == count
    drawn = still(picture)
    assert [a.get_title() for a in drawn.axes][:count] == [f"p{k}" for k in range(count)]
    plt.close(drawn)


def test_an_item_holds_a_still_and_data_the_page_can_read(tmp_path: Path) -> None:
    picture = Picture([Panel("</script> a", [Cloud(RNG.uniform(0, 1, (5, 3)))])], None)
    item = show_picture(Sheet(tmp_path, "tiny"), picture, "one", "Title")
    assert 'src="data:image/png;base64,' in item.html
    (text,) = re.findall(r'<script type="application/json" id="display-one-data">(.*?)</script>', item.html, re.S)
    assert "</script> a" in json.loads(text)["layout"]["annotations"][0]["text"]
    assert {p.name for p in tmp_path.iterdir()} == {"one.png", "one.svg"}
    assert "CONFIG" not in SCRIPT


def test_no_tables_no_items(tmp_path: Path) -> None:
    view = view_of(demo_plan(tmp_path, "fm4npp"), tmp_path)
    assert feature_items(view) == []
    assert serialization_items(view) == []
