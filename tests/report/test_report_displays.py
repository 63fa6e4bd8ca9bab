"""Displays show every point once per button, differences count wrong points, bad requests say what is there."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tpcfm.errors import ConfigError, DataError
from tpcfm.events.writer import write_rejected
from tpcfm.report.draw.displays import DETECTORS, event_figure, prediction_figure
from tpcfm.report.show import show_event
from tpcfm.report.tables import Markup, number, table, with_interval


def _event(n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    event = {k: rng.integers(0, 768, n) for k in "xyz"}
    return event | {"energy": rng.uniform(0.1, 5, n), "semantic": np.arange(n) % 5}


def _shown(figure) -> int:
    """Points in visible traces, without the outline."""
    return sum(len(t.x) for t in figure.data if t.visible is not False and t.mode == "markers")


def test_each_button_shows_every_point_once() -> None:
    event = _event()
    figure = event_figure(event, ["semantic", "energy"], "pilarnet")
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
    figure = event_figure(_event(), ["semantic"], "pilarnet")
    assert {"shower (8)", "track (8)", "Michel (8)", "delta (8)", "low energy (8)"} <= {t.name for t in figure.data}


def test_difference_counts_wrong_points() -> None:
    event = _event() | {"truth": np.arange(40) % 4}
    predicted = event["truth"].copy()
    predicted[:7] = (predicted[:7] + 1) % 4
    figure = prediction_figure(event | {"prediction": predicted}, "segmentation")
    assert {"right (33)", "wrong (7)"} <= {t.name for t in figure.data}


def test_track_difference_does_not_depend_on_track_numbers() -> None:
    event = {k: np.arange(20.0) for k in "xyz"} | {"truth": np.repeat([3, 8], 10)}
    renamed = np.where(event["truth"] == 3, 1, 0)
    figure = prediction_figure(event | {"prediction": renamed}, "tracks")
    assert "wrong (0)" in {t.name for t in figure.data}
    lost = np.where(np.arange(20) < 4, -1, renamed)
    assert "wrong (4)" in {t.name for t in prediction_figure(event | {"prediction": lost}, "tracks").data}


@pytest.mark.parametrize("layout", sorted(DETECTORS))
def test_every_detector_has_an_outline(layout: str) -> None:
    assert DETECTORS[layout].outline()


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
    _, points = show_event(raw, 1, ["semantic", "energy"], out)
    assert points == 12
    assert out.stat().st_size > 5000


def test_bad_requests_say_what_is_there(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no event 7.*0 to 1"):
        show_event(raw, 7, [], tmp_path / "x.html")
    with pytest.raises(ConfigError, match=r"'track'.*semantic"):
        show_event(raw, 0, ["track"], tmp_path / "x.html")
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
    html = table("t", "T", ["a", "b"], [["<x>", Markup("<b>1</b>")]]).html
    assert "&lt;x&gt;" in html
    assert "<b>1</b>" in html
