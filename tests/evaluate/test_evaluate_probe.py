"""The token probe labels, fits and scores as defined; colours do not depend on what the position explains."""

import numpy as np
import pytest

from tpcfm.errors import DataError
from tpcfm.evaluate.embeddings import component_colours, remove_position
from tpcfm.evaluate.probe import TokenSet, event_counts, f1, fit_and_predict, probe_rows, token_labels


def made(events: int, seed: int, separation: float = 4.0) -> TokenSet:
    """Tokens whose class 0 lies along the first axis and class 1 along the second; class 2 never occurs."""
    rng = np.random.default_rng(seed)
    labels = rng.random((events * 40, 3)) < [0.4, 0.15, 0.0]
    features = rng.standard_normal((len(labels), 10))
    features[:, :2] += separation * labels[:, :2]
    return TokenSet(features.astype(np.float32), labels, np.repeat(np.arange(events), 40))


def test_token_is_positive_if_one_member_has_the_class() -> None:
    semantic = np.array([0, 0, 1, 3, 2])
    member = np.array([[0, 1, -1], [1, 2, 3], [4, -1, -1]])
    want = [[True, False, False, False], [True, True, False, True], [False, False, True, False]]
    assert token_labels(semantic, member, 4).tolist() == want


@pytest.mark.parametrize("components", [0, 5])
def test_separable_classes_are_found_and_chance_is_not_beaten(components: int) -> None:
    for separation, low, high in ((4.0, 0.85, 1.0), (0.0, 0.0, 0.6)):
        test = made(10, 1, separation)
        chosen = fit_and_predict(made(20, 0, separation), test, components=components, c=0.005, seed=0)
        scores = f1(event_counts(test, chosen, 10).sum(0))
        assert low <= scores[0] <= high
        assert np.isnan(scores[2])  # nothing to find
        assert not chosen[:, 2].any()


def test_f1_from_counts() -> None:
    assert f1(np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]])) == pytest.approx([6 / 9, 0.0])
    assert np.isnan(f1(np.array([0.0, 4.0, 0.0])))


def test_counts_add_up_over_events() -> None:
    test = made(6, 2)
    chosen = np.random.default_rng(0).random(test.labels.shape) < 0.5
    counts = event_counts(test, chosen, 6)
    np.testing.assert_array_equal(counts.sum(0)[:, 0], (chosen & test.labels).sum(0))
    np.testing.assert_array_equal(counts[..., 0].sum(1) + counts[..., 2].sum(1), test.labels.reshape(6, -1).sum(1))


def test_rows_average_seeds_and_intervals_cover_events_and_seeds() -> None:
    rng = np.random.default_rng(0)
    seeds = [rng.poisson([[30, 10, 10], [5, 5, 5]], (25, 2, 3)).astype(float) for _ in range(3)]
    rows = {row["class"]: row for row in probe_rows(seeds, ["a", "b"])}
    want = np.mean([f1(c.sum(0)) for c in seeds], axis=0)
    assert rows["a"]["value"] == pytest.approx(want[0])
    assert rows[""]["value"] == pytest.approx(want.mean())
    for row in rows.values():
        assert row["low"] < row["value"] < row["high"]
    few = {row["class"]: row for row in probe_rows([c[:4] for c in seeds], ["a", "b"])}
    assert few["b"]["high"] - few["b"]["low"] > rows["b"]["high"] - rows["b"]["low"]


def test_sample_is_seeded_and_bounded() -> None:
    tokens = made(5, 0)
    assert len(tokens.sample(50, 1).features) == 50
    np.testing.assert_array_equal(tokens.sample(50, 1).features, tokens.sample(50, 1).features)
    assert tokens.sample(10**6, 1) is tokens


def test_no_tokens_are_an_error() -> None:
    empty = TokenSet(np.zeros((0, 4)), np.zeros((0, 3), bool), np.zeros(0, np.int64))
    with pytest.raises(DataError, match="0 training and 80 test tokens"):
        fit_and_predict(empty, made(2, 0), components=0, c=1.0, seed=0)


def test_position_is_removed_exactly() -> None:
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, 768, (30, 3))
    linear = np.hstack([centre, np.ones((30, 1))]) @ rng.standard_normal((4, 8))
    np.testing.assert_allclose(remove_position(linear, centre), 0, atol=1e-8)
    free = rng.standard_normal((30, 8))
    np.testing.assert_allclose(component_colours(free + linear, centre), component_colours(free, centre), atol=1e-6)


def test_colours_separate_clusters_and_fill_the_range() -> None:
    rng = np.random.default_rng(1)
    kind = np.arange(60) % 2
    features = 5.0 * kind[:, None] * rng.standard_normal(16) + 0.1 * rng.standard_normal((60, 16))
    colours = component_colours(features, rng.uniform(0, 768, (60, 3)))
    assert colours.min() == 0.0
    assert colours.max() == 1.0
    assert abs(colours[kind == 0, 0].mean() - colours[kind == 1, 0].mean()) > 0.6


@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_few_tokens_have_colours_too(tokens: int) -> None:
    rng = np.random.default_rng(2)
    colours = component_colours(rng.standard_normal((tokens, 8)), rng.uniform(0, 768, (tokens, 3)))
    assert colours.shape == (tokens, 3)
    assert np.isfinite(colours).all()
