"""Means, errors and intervals: bootstrap over events, t-intervals over seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tpcfm.errors import DataError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over repetitions with its interval."""

    value: float
    error: float  # standard error of the mean; NaN for one repetition
    low: float
    high: float
    n: int


def mean_and_error(values: Sequence[float] | FloatArray, level: float = 0.95) -> Estimate:
    """Return mean, standard error and Student-t interval of independent repetitions (seeds).

    With one repetition, error and interval are NaN: one run says nothing about their spread.

    Raises:
        DataError: no values, or values that are not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise DataError(f"mean over repetitions: need at least one finite value; found {array.tolist()}")
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), float("nan"), 1)
    error = float(array.std(ddof=1) / np.sqrt(n))
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * error
    return Estimate(mean, error, mean - half, mean + half, n)


def paired_difference(
    first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray, level: float = 0.95
) -> Estimate:
    """Return the mean of ``first - second`` with its Student-t interval, pairing repetition by repetition (same seed).

    Raises:
        DataError: the two differ in length.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise DataError(f"paired difference: {a.shape} against {b.shape} values; each seed needs one of either")
    return mean_and_error(a - b, level)


def bootstrap_sums(
    table: FloatArray,
    statistic: Callable[[FloatArray], FloatArray | float],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Return the percentile interval of a statistic of summed counts, from a bootstrap over events.

    Args:
        table: (events, columns) additive counts, one row per event.
        statistic: takes the sums (columns,), returns a number or an array.
        draws: resamples of the events, with replacement.
        level: probability content.
        seed: of the draws; equal seeds give equal intervals.

    Returns:
        Lower and upper bounds, of the statistic's shape. Draws where a value is NaN (nothing counted) are left out of
        that value; both bounds are NaN if it is always so.

    Raises:
        DataError: no events.
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or len(table) == 0:
        raise DataError(f"bootstrap: need at least one event (row); found a table of shape {table.shape}")
    n = len(table)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        weights = np.bincount(rng.integers(0, n, n), minlength=n)
        values.append(np.asarray(statistic(weights @ table), dtype=np.float64))
    drawn = np.stack(values)
    shape = drawn.shape[1:]
    drawn = drawn.reshape(draws, -1)
    bounds = np.full((2, drawn.shape[1]), np.nan)
    for column in range(drawn.shape[1]):
        counted = drawn[~np.isnan(drawn[:, column]), column]
        if len(counted):
            bounds[:, column] = np.quantile(counted, [0.5 - level / 2, 0.5 + level / 2])
    return bounds[0].reshape(shape), bounds[1].reshape(shape)


def residual_spread(residual: FloatArray, name: str, draws: int = 500) -> dict[str, tuple[float, tuple[float, float]]]:
    """Return ``<name>_bias`` (median) and ``<name>_resolution`` (half of the central 68 %) of residuals, with 95 % intervals from a bootstrap."""
    generator, count = np.random.default_rng(0), len(residual)
    drawn = np.array([_spread(residual[generator.integers(0, count, count)]) for _ in range(draws)])
    bounds = np.quantile(drawn, [0.025, 0.975], axis=0).T.tolist()
    named = zip(("bias", "resolution"), _spread(residual), bounds, strict=True)
    return {f"{name}_{what}": (value, (low, high)) for what, value, (low, high) in named}


def _spread(residual: FloatArray) -> tuple[float, float]:
    low, middle, high = np.quantile(residual, [0.16, 0.5, 0.84])
    return float(middle), float((high - low) / 2)


def binomial_interval(passed: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share (efficiency in a bin); NaN without trials."""
    if total == 0:
        return float("nan"), float("nan")
    from scipy import stats  # half a second, which no other job needs to wait

    found = stats.binomtest(int(passed), int(total)).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
