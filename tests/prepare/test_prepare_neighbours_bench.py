"""The benchmark of the neighbour operators compares equals: both sides give the same neighbours."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph
from tpcfm.prepare.sequences.next_neighbours import next_neighbours


@pytest.fixture(scope="module")
def bench():
    path = Path(__file__).parents[2] / "benchmarks" / "neighbours.py"
    spec = importlib.util.spec_from_file_location("benchmark_neighbours", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_sides_find_the_same_next_neighbours(bench):
    features, _ = bench.helices(860)
    same = bench.matrix_next_neighbours(features, 30) == next_neighbours(features, 30, bench.SPHENIX)
    assert same.mean() > 0.999  # the matrix product rounds in float32, which swaps a few near ties


def test_both_sides_find_the_same_graph(bench):
    features, tracks = bench.helices(700)
    embedded = bench.embedding(features, tracks)
    found = neighbour_graph(embedded, 10)
    theirs = embedded[bench.matrix_graph(embedded, 10)].astype(np.float64) - embedded[:, None]
    # The matrix product rounds in float32, so near ties may swap, but the distances must be the same.
    np.testing.assert_allclose(np.sqrt((theirs**2).sum(-1)), found.distance, atol=2e-3)


def test_rows_carry_what_the_table_prints(bench, monkeypatch):
    monkeypatch.setattr(bench, "seconds", lambda call, repeats: float(call() is not None))
    rows = bench.rows()
    assert len(rows) == 8
    for row in rows:
        assert set(row) == {"what", "size", "against", "ratio", "memory_mib"}
        assert 0 < row["memory_mib"] < 20
    assert len({(row["what"], row["size"]) for row in rows}) == 8
    assert np.isfinite([row["ratio"] for row in rows]).all()
