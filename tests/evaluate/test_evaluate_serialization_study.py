"""The serialization study writes one row per order and measure, and its numbers are those of the coherence counts."""

import numpy as np
import pytest

from event_tables import SPHENIX, write_table
from tpcfm.errors import DataError
from tpcfm.evaluate.serialization_study import METRICS, labelled_events, run_study
from tpcfm.evaluate.table import read_metrics
from tpcfm.prepare.sequences.cache import fit_edges
from tpcfm.prepare.sequences.coherence import compare_orders
from tpcfm.prepare.sequences.serialization import BoxEdges
from tpcfm.prepare.sequences.settings import SerializationConfig

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(20):
        phi = np.repeat(rng.uniform(-np.pi, np.pi, 8), 48) + np.tile(np.linspace(0, 0.2, 48), 8)
        radius = np.tile(LAYER_RADII_CM, 8)
        z = radius * np.sinh(np.repeat(rng.uniform(-1, 1, 8), 48))
        x, y = radius * np.cos(phi), radius * np.sin(phi)
        split = "train" if number % 2 else "validation"
        head = {"event_id": f"toy/{number}", "split": split, "n_points": len(phi)}
        rows.append({**head, "x": x, "y": y, "z": z, "energy": np.ones(len(phi)), "track": np.repeat(np.arange(8), 48)})
    write_table(tmp_path / "a.parquet", SPHENIX, rows)
    fit_edges([tmp_path / "a.parquet"], tmp_path / "edges.json", SerializationConfig())
    return tmp_path / "a.parquet"


def test_study_writes_the_metrics_of_each_order(table, tmp_path):
    shown = run_study([table], tmp_path / "edges.json", tmp_path / "study", events=7, draws=50)
    metrics = read_metrics([tmp_path / "study" / "metrics.parquet"])
    assert len(metrics) == len(shown) * len(METRICS) == 30
    edges = BoxEdges.load(tmp_path / "edges.json")
    used = labelled_events([table], edges, 20, "validation")
    assert len(used) == 10
    expected = compare_orders(used[:7], edges).set_index("order")
    for row in metrics.to_dict("records"):
        assert row["value"] == pytest.approx(expected.loc[row["class"], row["metric"]])
        assert row["low"] <= row["value"] <= row["high"]
    assert (metrics["split"] == "validation").all()


def test_a_split_without_events_is_named(table, tmp_path):
    with pytest.raises(DataError, match="no labelled test events"):
        run_study([table], tmp_path / "edges.json", tmp_path / "study", split="test")


def test_verb_prints_the_table(table, tmp_path, capsys):
    from tpcfm.cli.serialization_study import command

    command([table], tmp_path / "edges.json", tmp_path / "study", max_events=3, split="validation")
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 11
    assert "raster r_phi_eta" in printed
    assert (tmp_path / "study" / "metrics.parquet").is_file()
