"""Projections keep what they promise: components order by variance with fixed signs, t-SNE keeps clusters apart; boxes count all points."""

import sys
from typing import Any

import numpy as np
import pytest

from event_tables import SPHENIX
from tpcfm.errors import ConfigError, DataError, MachineError
from tpcfm.evaluate.clustering import knn_purity
from tpcfm.evaluate.projections import project
from tpcfm.evaluate.serialized_path import ORDERS, box_distributions, event_paths
from tpcfm.prepare.sequences.features import point_features
from tpcfm.prepare.sequences.serialization import fit_box_edges
from tpcfm.prepare.sequences.settings import SerializationConfig

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)


def clusters(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), n)
    return 6 * np.eye(3, 8)[label] + rng.normal(size=(3 * n, 8)), label


def test_components_are_ordered_and_do_not_depend_on_the_sign_of_the_decomposition() -> None:
    values, _ = clusters()
    found = project(values, "pca", 3)
    spread = found.std(0)
    assert (np.diff(spread) <= 1e-6).all()
    np.testing.assert_allclose(np.abs(project(-values, "pca", 3)), np.abs(found), atol=1e-4)
    np.testing.assert_allclose(project(values + 5, "pca", 3), found, atol=1e-4)


@pytest.mark.parametrize("dims", [2, 4])
def test_tsne_keeps_clusters_apart(dims: int) -> None:
    values, label = clusters()
    found = project(values, "tsne", dims)
    assert found.shape == (90, dims)
    assert knn_purity(found, label) > 0.9


@pytest.mark.parametrize(("n", "neighbours"), [(90, 15), (8, 7)])
def test_umap_is_asked_for_what_there_are_points_for(n: int, neighbours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is optional: what stands in for it here records what it is asked, and gives the first columns back."""
    asked = {}

    class Stand:
        def __init__(self, **settings: int) -> None:
            asked.update(settings)

        def fit_transform(self, values: np.ndarray) -> np.ndarray:
            return values[:, : asked["n_components"]]

    monkeypatch.setitem(sys.modules, "umap", type("umap", (), {"UMAP": Stand}))
    monkeypatch.setattr("tpcfm.evaluate.projections.has_umap", lambda: True)
    values = clusters()[0][:n]
    found = project(values, "umap", 2, seed=3)
    assert asked == {"n_neighbors": neighbours, "n_components": 2, "random_state": 3, "n_jobs": 1}
    np.testing.assert_allclose(found, values[:, :2], rtol=1e-6)


def test_without_umap_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tpcfm.evaluate.projections.has_umap", lambda: False)
    with pytest.raises(MachineError, match="umap-learn"):
        project(clusters()[0], "umap")


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="allowed: pca, tsne, umap"):
        project(np.zeros((9, 3)), "isomap")
    with pytest.raises(ConfigError, match="1 to 5"):
        project(np.zeros((9, 3)), "tsne", 6)
    with pytest.raises(DataError, match="finite"):
        project(np.full((9, 3), np.nan), "pca")


@pytest.fixture(scope="module")
def event() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    n = 1200
    radius, phi = rng.choice(LAYER_RADII_CM, n), rng.uniform(-np.pi, np.pi, n)
    columns = {"energy": rng.exponential(200, n), "x": radius * np.cos(phi), "y": radius * np.sin(phi)}
    columns["z"] = radius * rng.uniform(-1.5, 1.5, n)
    columns = {name: values.astype(np.float32) for name, values in columns.items()}
    xyz = np.stack([columns[axis] for axis in "xyz"], 1)
    features = point_features(SPHENIX, columns["energy"], xyz)
    return {**columns, "n_points": n, "track": rng.integers(0, 9, n), "features": features.ravel()}


def test_boxes_and_histograms_count_every_point_once(event: dict[str, Any]) -> None:
    features = event["features"].reshape(-1, 4)
    edges = fit_box_edges(features[:, 1:], SPHENIX, SerializationConfig(), n_events=1)
    table = box_distributions([features], edges, SPHENIX)
    for (_, kind), rows in table.groupby(["axis", "kind"]):
        assert rows["count"].sum() == event["n_points"]
        if kind == "box":
            np.testing.assert_allclose(rows["right"].to_numpy()[:-1], rows["left"].to_numpy()[1:])
    azimuth = table[(table["axis"] == "phi") & (table["kind"] == "box")]
    np.testing.assert_allclose([azimuth["left"].min(), azimuth["right"].max()], [-np.pi, np.pi], atol=1e-6)
    assert len(table[(table["axis"] == "r") & (table["kind"] == "box")]) == 6


def test_paths_are_orders_of_the_same_points(event: dict[str, Any]) -> None:
    features = event["features"].reshape(-1, 4)
    edges = fit_box_edges(features[:, 1:], SPHENIX, SerializationConfig(), n_events=1)
    table = event_paths(event, edges, "track")
    assert list(table["order"].unique()) == list(ORDERS)
    for _, rows in table.groupby("order"):
        np.testing.assert_array_equal(np.sort(rows["x"]), np.sort(event["x"]))
    radial = table[table["order"] == "radial"]
    assert (np.diff(np.hypot(radial["x"], radial["y"]).round(3)) >= -1e-2).all()
    assert set(table.attrs["same_next"]) == set(ORDERS)
