"""Power-law fits recover known laws, say when they are illustrative, and refuse what cannot be fitted."""

import numpy as np
import pandas as pd
import pytest

from tpcfm.errors import DataError
from tpcfm.scaling.power_law import fit_power_law
from tpcfm.scaling.study import FRONT, compute_front, fit_studies


def test_recovers_an_exact_law_with_saturation() -> None:
    x = np.geomspace(1e5, 1e8, 8)
    law = fit_power_law(x, 3.0 * x**-0.3 + 0.02, draws=20)
    assert law.b == pytest.approx(0.3, rel=1e-3)
    assert law.c == pytest.approx(0.02, rel=1e-2)
    assert not law.illustrative


def test_interval_covers_the_true_exponent_and_band_encloses_the_law() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(20):
        x = np.repeat(np.geomspace(1e5, 1e7, 6), 4)
        y = 5.0 * x**-0.2 * np.exp(0.02 * rng.standard_normal(len(x)))
        law = fit_power_law(x, y, saturation=False, draws=60, seed=seed)
        covered += law.b_low <= 0.2 <= law.b_high
        low, high = law.band(x)
        assert (low <= law(x) * 1.01).all()
        assert (high >= law(x) * 0.99).all()
    assert covered >= 15


def test_fewer_than_five_sizes_are_illustrative_and_without_saturation() -> None:
    x = np.array([1e5, 1e6, 1e7])
    law = fit_power_law(x, 2 * x**-0.1 + 0.1, draws=10)
    assert law.illustrative
    assert not law.saturation
    assert law.c == 0.0


def test_one_outlier_does_not_decide_the_exponent() -> None:
    x = np.geomspace(1e5, 1e8, 12)
    y = 3.0 * x**-0.25
    y[5] *= 2
    assert fit_power_law(x, y, saturation=False, draws=0).b == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("x", "y"), [([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0, np.nan]), ([1.0, -2.0], [1.0, 1.0])])
def test_refuses_what_cannot_be_fitted(x: list[float], y: list[float]) -> None:
    with pytest.raises(DataError, match="power law"):
        fit_power_law(np.array(x), np.array(y))


def test_studies_are_fitted_group_by_group_and_the_front_is_monotone() -> None:
    x = [1.0, 2.0, 4.0, 1.5, 3.0]
    y = [1.0, 0.8, 0.6, 1.2, 0.7]
    points = pd.DataFrame(
        {"study": "scaling_compute", "group": ["m1"] * 3 + ["m2"] * 2, "point": "", "run": list("abcde")}
    )
    points = points.assign(system="first", seed=0, x=x, y=y)
    fits, curves = fit_studies(points)
    assert list(fits["group"]) == ["m1", "m2", FRONT]
    assert set(curves["group"]) == {"m1", "m2", FRONT}
    front = compute_front(points)
    assert list(front["run"]) == ["a", "b", "e", "c"]
    law = fit_power_law(front["x"].to_numpy(), front["y"].to_numpy())
    assert fits.set_index("group").loc[FRONT, "b"] == pytest.approx(law.b)
    # Another system has laws and a front of its own, whatever the first one reaches.
    both = pd.concat([points, points.assign(system="second", y=points["y"] * 10)], ignore_index=True)
    fits, curves = fit_studies(both)
    assert set(zip(fits["system"], fits["group"], strict=True)) == {
        (s, g) for s in ("first", "second") for g in ("m1", "m2", FRONT)
    }
    assert set(curves["system"]) == {"first", "second"}
    front = compute_front(both)
    for system in ("first", "second"):
        assert list(front.loc[front["system"] == system, "run"]) == ["a", "b", "e", "c"]
