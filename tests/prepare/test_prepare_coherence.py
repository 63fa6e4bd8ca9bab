"""Coherence of an order: hand-counted cases, the random floor, and that the boxes keep tracks together better than it."""

import numpy as np
import pytest

from event_tables import SPHENIX
from tpcfm.errors import DataError
from tpcfm.prepare.sequences.coherence import (
    CoherenceCounts,
    LabelledEvent,
    coherence,
    compare_orders,
    orders_to_compare,
)
from tpcfm.prepare.sequences.features import point_features
from tpcfm.prepare.sequences.serialization import fit_box_edges
from tpcfm.prepare.sequences.settings import SerializationConfig

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)


def event(seed, n_tracks=12, labelled=True):
    rng = np.random.default_rng(seed)
    phi = np.repeat(rng.uniform(-np.pi, np.pi, n_tracks), 48) + np.tile(np.linspace(0, 0.3, 48), n_tracks)
    radius = np.tile(LAYER_RADII_CM, n_tracks)
    z = radius * np.sinh(np.repeat(rng.uniform(-1, 1, n_tracks), 48))
    shuffle = rng.permutation(len(phi))
    points = [rng.exponential(250, len(phi)), radius * np.cos(phi), radius * np.sin(phi), z]
    track = np.repeat(np.arange(n_tracks), 48)[shuffle] if labelled else None
    signal, *xyz = (p[shuffle].astype(np.float32) for p in points)
    return LabelledEvent(f"toy/{seed}", point_features(SPHENIX, signal, np.stack(xyz, 1)), track)


def test_counts_of_a_short_sequence():
    values = coherence(np.array([5, 5, 2, 5, 2, 2])).values()
    assert values["same_next"] == 2 / 5
    assert values["run_length"] == 6 / 4
    assert values["return_distance"] == (1 + 2 + 2 + 1) / 4
    assert values["random_same_next"] == pytest.approx((6 + 6) / 6 / 5)


def test_counts_add_over_events_and_extremes_are_right():
    a, b = np.array([1, 1, 1]), np.array([1, 2])
    both = coherence(a) + coherence(b)
    assert both.values()["run_length"] == 5 / 3
    assert both.values()["same_next"] == 2 / 3
    assert coherence(a).values()["return_distance"] == 1
    assert np.isnan(list(CoherenceCounts().values().values())).all()
    assert coherence(np.zeros(0, int)) == CoherenceCounts()
    assert coherence(np.array([3])).values()["run_length"] == 1


def test_random_order_meets_its_expectation():
    track = np.repeat(np.arange(20), 50)
    rng = np.random.default_rng(0)
    drawn = np.mean([coherence(rng.permutation(track)).values()["same_next"] for _ in range(200)])
    assert drawn == pytest.approx(coherence(track).values()["random_same_next"], rel=0.05)


def test_boxes_keep_tracks_together_better_than_radius_alone():
    events = [event(seed) for seed in range(6)]
    places = np.concatenate([one.features[:, 1:] for one in events])
    edges = fit_box_edges(places, SPHENIX, SerializationConfig(), n_events=6)
    table = compare_orders(events, edges).set_index("order")
    assert set(table.index) == {*orders_to_compare(edges), "random"}
    assert len(table) == 10
    assert table.loc["raster r_phi_eta", "same_next"] > 2 * table.loc["radial", "same_next"]
    assert table.loc["random", "same_next"] == pytest.approx(table.loc["random", "random_same_next"], abs=0.02)
    assert (table["points"] == 6 * 12 * 48).all()
    assert (table["events"] == 6).all()
    with pytest.raises(DataError, match="no events"):
        compare_orders([], edges)
    with pytest.raises(DataError, match="toy/9: coherence needs labels"):
        compare_orders([event(9, labelled=False)], edges)
