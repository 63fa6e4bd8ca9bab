"""Displays show every point once per button, differences count wrong points, bad requests say what is there."""

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tpcfm.detectors.registry import built_in, check_detector, load_detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.events.schema import event_schema
from tpcfm.events.writer import write_rejected
from tpcfm.report.draw.colouring import NOTHING, Grade, colour_columns, event_picture
from tpcfm.report.draw.rotatable import rotatable
from tpcfm.report.draw.style import Sheet
from tpcfm.report.draw.volume import outline
from tpcfm.report.show import show_event
from tpcfm.report.tables import Markup, number, table, with_interval
from tpcfm.tasks.predictions import described, write_predictions

PILARNET = load_detector("pilarnet")


def _event(n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    event = {k: rng.integers(0, 768, n) for k in "xyz"}
    return event | {"energy": rng.uniform(0.1, 5, n), "semantic": np.arange(n) % 5}


def _shown(figure) -> int:
    """Points in visible traces, without the outline."""
    return sum(len(t.x) for t in figure.data if t.visible is not False and t.mode == "markers")


def test_each_button_shows_every_point_once() -> None:
    event = _event()
    figure = rotatable(event_picture(event, ["semantic", "energy"], PILARNET))
    assert _shown(figure) == len(event["x"])
    buttons = figure.layout.updatemenus[0].buttons
    assert [b.label for b in buttons] == ["semantic", "energy"]
    for button in buttons:
        flags = button.args[0]["visible"]
        assert len(flags) == len(figure.data)
        assert sum(len(t.x) for t, on in zip(figure.data, flags, strict=True) if on and t.mode == "markers") == len(
            event["x"]
        )


def test_legend_names_classes_with_counts() -> None:
    clouds = event_picture(_event(), ["semantic"], PILARNET).panels[0].clouds
    assert [c.name for c in clouds] == ["low energy (8)", "shower (8)", "track (8)", "Michel (8)", "delta (8)"]
    colours = PILARNET.classes()["semantic"].colours()
    assert [c.colour for c in clouds] == [colours[value] for value in (4, 0, 1, 2, 3)]


@pytest.mark.parametrize("name", built_in())
def test_the_outline_spans_the_volume(name: str) -> None:
    detector = load_detector(name)
    lines = np.concatenate(outline(detector))
    assert lines.min(0) == pytest.approx(detector.volume.low, rel=0.1)
    assert lines.max(0) == pytest.approx(detector.volume.high, rel=0.1)


TOY = check_detector(
    {
        "name": "toy",
        "coordinates": {"unit": "mm"},
        "volume": {"shape": "cylinder", "r": [0, 500], "z": [-1000, 1000]},
        "pitch": 3.0,
        "labels": {"particle": {"kind": "instances", "type": "int64", "background": [0]}},
    },
    "toy",
)


def _toy_event(n: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {k: rng.normal(0, 100, n).astype(np.float32) for k in "xyz"} | {"particle": (np.arange(n) % 3) << 40}


def test_what_is_coloured_first() -> None:
    assert colour_columns(PILARNET, dict.fromkeys(("semantic", "pid", "fragment", "energy"), 1)) == [
        "semantic",
        "fragment",
        "energy",
        "pid",
    ]
    assert colour_columns(PILARNET, {"energy": 1}) == ["energy"]
    assert colour_columns(TOY, _toy_event()) == ["particle"]
    assert colour_columns(TOY, {"x": 1}) == ["z"]


def test_background_is_grey_and_instances_have_entries_while_they_are_few() -> None:
    clouds = event_picture(_toy_event(), ["particle"], TOY).panels[0].clouds
    assert [c.name for c in clouds] == ["no particle (20)", f"particle {1 << 40} (20)", f"particle {2 << 40} (20)"]
    assert clouds[0].colour == NOTHING
    many = _toy_event() | {"particle": np.arange(60)}
    assert [len(c.xyz) for c in event_picture(many, ["particle"], TOY).panels[0].clouds] == [1, 59]


def test_any_table_with_its_detector_becomes_a_display(tmp_path: Path) -> None:
    """Events and predictions of a detector that the package does not know, with 64-bit ids."""
    schema, event = event_schema(TOY), _toy_event()
    row = {f.name: None if f.name not in event else event[f.name].tolist() for f in schema}
    pq.write_table(
        pa.Table.from_pylist([row | {"event_id": "a/b/0", "split": "test", "n_points": 60}], schema),
        tmp_path / "t.parquet",
    )
    assert show_event(tmp_path / "t.parquet", 0, ["particle", "x"], tmp_path / "t.html") == ("a/b/0", 60)
    with pytest.raises(ConfigError, match=r"'energy': this event has particle, x, y, z"):
        show_event(tmp_path / "t.parquet", 0, ["energy"], tmp_path / "t.html")
    found = {"event_id": "a/b/0", **event, "truth": event["particle"], "prediction": np.arange(60) % 3 - 1}
    write_predictions(tmp_path / "p.parquet", [found], TOY, "particle")
    assert show_event(tmp_path / "p.parquet", 0, [], tmp_path / "p.png") == ("a/b/0 (particle)", 60)


def test_predictions_hold_values_of_the_label(tmp_path: Path) -> None:
    """Batches number the classes that are trained; the table holds what the event table holds."""
    classes = {"kind": "classes", "classes": {7: "a", 9: "b", 11: "c"}, "removed": [9]}
    detector = check_detector({**TOY.model_dump(), "labels": {"kind": classes}}, "toy")
    event = {k: v for k, v in _toy_event(3).items() if k in "xyz"}
    write_predictions(
        tmp_path / "p.parquet",
        [{"event_id": "e", **event, "truth": [0, 1, -1], "prediction": [1, 1, 0]}],
        detector,
        "kind",
    )
    table = pq.read_table(tmp_path / "p.parquet")
    assert described(table.schema, "p") == (detector, "kind")
    assert table["truth"].to_pylist() == [[7, 11, -1]]
    assert table["prediction"].to_pylist() == [[11, 11, 7]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A two-event PILArNet-M file in the v2 layout, written by hand."""
    path = tmp_path / "raw.h5"
    rng = np.random.default_rng(1)
    with h5py.File(path, "w", libver="latest") as file:
        point = file.create_dataset("point", (2,), h5py.vlen_dtype(np.float32))
        cluster = file.create_dataset("cluster", (2,), h5py.vlen_dtype(np.int32))
        extra = file.create_dataset("cluster_extra", (2,), h5py.vlen_dtype(np.float32))
        for row in range(2):
            points = np.zeros((12, 8), np.float32)
            points[:, 0] = np.arange(12) + 100
            points[:, 1:3] = rng.integers(0, 768, (12, 2))
            points[:, 3:5] = 0.5
            point[row] = points.ravel()
            cluster[row] = np.array([[2, -1, -1, -1, 4, -1], [10, 0, 0, 0, 1, 2]], np.int32).ravel()
            extra[row] = np.full((2, 5), -1, np.float32).ravel()
    return path


@pytest.mark.parametrize("ending", ["html", "png", "svg"])
def test_a_raw_event_becomes_a_display(raw: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"event.{ending}"
    _, points = show_event(raw, 1, ["semantic", "energy"], out, PILARNET)
    assert points == 12
    assert out.stat().st_size > 5000


def test_bad_requests_say_what_is_there(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"raw\.h5: no event 7.*0 to 1"):
        show_event(raw, 7, [], tmp_path / "x.html", PILARNET)
    with pytest.raises(ConfigError, match=r"'track'.*semantic"):
        show_event(raw, 0, ["track"], tmp_path / "x.html", PILARNET)
    with pytest.raises(DataError, match=r"raw\.h5: a raw file does not say its detector: give --detector"):
        show_event(raw, 0, [], tmp_path / "x.html")
    with pytest.raises(DataError, match="no such file"):
        show_event(tmp_path / "no.h5", 0, [], tmp_path / "x.html")
    with pytest.raises(ConfigError, match=r"\.html"):
        show_event(raw, 0, [], tmp_path / "x.gif")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"cut\.parquet: not a readable Parquet file"):
        show_event(tmp_path / "cut.parquet", 0, [], tmp_path / "x.html")


@pytest.mark.parametrize(("reasons", "said"), [({}, "no event was rejected"), ({1: "why"}, "with their reasons")])
def test_a_table_of_rejected_events_says_where_the_good_ones_are(
    tmp_path: Path, reasons: dict[int, str], said: str
) -> None:
    write_rejected(tmp_path / "p.rejected.parquet", "set/p", "raw.h5", reasons)
    with pytest.raises(DataError, match=rf"{said}.*good events are in {tmp_path}/p\.parquet"):
        show_event(tmp_path / "p.rejected.parquet", 0, [], tmp_path / "x.html")


def test_numbers_are_written_for_people() -> None:
    assert number(float("nan")) == "–"
    assert number(1_234_567) == "1 234 567"
    assert number(0.12345) == "0.123"
    assert "10<sup>-5</sup>" in number(1.5e-5)
    assert "[0.100, 0.300]" in with_interval(0.2, 0.1, 0.3)
    assert with_interval(0.2, float("nan"), 0.3) == "0.200"


def test_tables_escape_text_but_not_markup() -> None:
    html = table(Sheet(Path(), "tiny"), "t", "T", ["a", "b"], [["<x>", Markup("<b>1</b>")]]).html
    assert "&lt;x&gt;" in html
    assert "<b>1</b>" in html


def test_signals_are_graded_by_logarithm_and_coordinates_are_not() -> None:
    energy = np.random.default_rng(0).lognormal(0, 1, 500)
    by_energy = Grade.of(np.append(energy, 1e6), "energy")
    assert by_energy.bar.limits[1] < 2  # one extreme point does not stretch it
    np.testing.assert_allclose(by_energy(energy), np.log10(energy))
    assert Grade.of(energy - 1, "pedestal subtracted").floor is None
    assert Grade.of(np.full(5, 3.0), "constant")(3.0) == 3.0
    event = {axis: np.arange(1, 50) for axis in "xyz"}
    values = event_picture(event, ["z"], PILARNET).panels[0].clouds[0].values
    np.testing.assert_array_equal(values, event["z"])
