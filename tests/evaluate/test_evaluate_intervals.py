"""Intervals follow their formulas and cover the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from tpcfm.errors import DataError
from tpcfm.evaluate.intervals import (
    binomial_interval,
    bootstrap_sums,
    mean_and_error,
    paired_difference,
)


def test_t_interval_equals_scipy():
    values = np.array([0.71, 0.74, 0.69, 0.75, 0.73])
    found = mean_and_error(values)
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert (found.value, found.error) == pytest.approx((values.mean(), stats.sem(values)))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_paired_difference_uses_the_pairing():
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 1, 6)  # a large spread between seeds that both systems share
    first, second = seeds + 0.1 + rng.normal(0, 0.01, 6), seeds
    found = paired_difference(first, second)
    assert 0 < found.low < 0.1 < found.high < 0.2
    t, p = stats.ttest_rel(first, second)
    assert found.value / found.error == pytest.approx(t)
    assert p < 0.05
    with pytest.raises(DataError, match="each seed"):
        paired_difference([1.0, 2.0], [1.0])


def test_one_repetition_has_no_error():
    found = mean_and_error([0.5])
    assert found.value == 0.5
    assert np.isnan([found.error, found.low, found.high]).all()
    with pytest.raises(DataError, match="at least one finite"):
        mean_and_error([])
    with pytest.raises(DataError, match="at least one finite"):
        mean_and_error([1.0, float("nan")])


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        low, high = bootstrap_sums(rng.exponential(1.0, (60, 1)), lambda sums: sums[0] / 60, draws=200, seed=trial)
        inside += low < 1.0 < high
    assert 0.86 < inside / 200 < 0.99


def test_bootstrap_of_a_ratio_of_sums_has_the_width_of_the_delta_method():
    rng = np.random.default_rng(2)
    n = rng.integers(5, 40, 400).astype(float)
    hit = rng.binomial(n.astype(int), 0.8).astype(float)
    low, high = bootstrap_sums(np.stack([hit, n], 1), lambda s: s[0] / s[1], draws=1000)
    residual = hit - hit.sum() / n.sum() * n
    sigma = residual.std() * np.sqrt(400) / n.sum()
    assert (high - low) / (2 * 1.96 * sigma) == pytest.approx(1, abs=0.15)


def test_bootstrap_drops_undefined_draws():
    table = np.array([[0.0, 0.0], [1.0, 1.0]])
    low, high = bootstrap_sums(table, lambda s: s[0] / s[1] if s[1] else float("nan"), draws=50)
    assert (low, high) == (1.0, 1.0)
    with pytest.raises(DataError, match="at least one event"):
        bootstrap_sums(np.zeros((0, 2)), lambda s: 0.0)


def test_binomial_interval_is_where_the_score_test_just_accepts():
    z = stats.norm.ppf(0.975)
    for passed, total in ((0, 7), (3, 10), (95, 100), (20, 20)):
        for bound in binomial_interval(passed, total):
            distance = abs(passed / total - bound)
            assert distance == pytest.approx(z * np.sqrt(bound * (1 - bound) / total), abs=1e-7)
    assert np.isnan(binomial_interval(0, 0)).all()
