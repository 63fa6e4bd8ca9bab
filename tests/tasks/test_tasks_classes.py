"""Calibrated decisions of point classes: tuned on other points than they are scored on, and sums that give the same scores."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tpcfm.evaluate.classification import overall_scores
from tpcfm.tasks.classes import ClassScores


def batch(seed: int, n: int = 3000, share: float = 0.1):
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < share).astype(np.int64)
    # Noise looks different on average, but is never the more probable class: what a well-calibrated network says.
    logit = -2.2 + 0.8 * truth + 0.3 * rng.normal(size=n)
    p = 1 / (1 + np.exp(-logit))
    return truth, np.log(np.stack([1 - p, p], axis=1)).astype(np.float32), np.array([0, n // 2, n])


def test_a_rare_class_below_one_half_is_found_after_calibration():
    truth, log_p, _ = batch(0)
    scores = ClassScores(["signal", "noise"])
    scores.tune([(log_p, truth)], len(truth))
    held_out = batch(1)
    assert (scores.update(held_out[0], held_out[1], held_out[2]) == 0).all()
    rows = scores.rows(lambda values, intervals, name: [{"class": name, **values}])
    overall = {k: v for row in rows if row["class"] == "" for k, v in row.items()}
    assert overall["recall"] == pytest.approx(0.5)
    assert overall["recall_calibrated"] > 0.75
    assert overall["f1_calibrated"] > overall["f1"] + 0.2
    assert "majority" in overall
    assert "majority_calibrated" not in overall
    assert {row["class"] for row in rows if "decision_offset" in row} == {"signal", "noise"}


def test_sums_over_events_give_the_scores_of_both_decisions():
    truth, log_p, offsets = batch(2)
    scores = ClassScores(["signal", "noise"])
    scores.tune([(log_p, truth)], len(truth))
    scores.update(truth, log_p, offsets)
    sums = scores.sums()
    for suffix in ("", "_calibrated"):
        expected = overall_scores(scores.tallies[suffix].matrix)["accuracy"]
        above, below = sums["accuracy" + suffix, ""].sum(0)
        assert above / below == pytest.approx(expected)
        assert len(sums["f1" + suffix, "noise"]) == 2


def test_the_score_on_validation_events_is_that_of_the_calibrated_decision():
    rng = np.random.default_rng(1)
    truth = rng.choice([-1, 0, 1, 2], size=400, p=[0.1, 0.6, 0.2, 0.1])
    log_p = np.log(rng.dirichlet([2, 1, 1], size=400)).astype(np.float32)
    scores = ClassScores(["a", "b", "c"])
    assert np.isnan(scores.validation)
    scores.tune([(log_p, truth)], 400)
    known = truth >= 0
    decided = (log_p[known] + scores.offset).argmax(1)
    assert scores.validation == pytest.approx(f1_score(truth[known], decided, average="macro"))
