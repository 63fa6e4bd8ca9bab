"""Segmentation scores agree with the plain definitions, and calibrated decisions are the best there are."""

import numpy as np
import pytest

from tpcfm.evaluate.classification import class_scores, confusion_matrix
from tpcfm.evaluate.segmentation import batched_scores, confusion_rows, macro, score_rows, tune_decision_weights


def test_batched_scores_agree_with_the_scores_of_one_matrix() -> None:
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 50, (6, 4, 4))
    matrices[0, 2] = 0  # class 2 never true
    matrices[1, :, 3] = 0  # class 3 never predicted
    many = batched_scores(matrices)
    for number, matrix in enumerate(matrices):
        one = class_scores(matrix)
        for metric in many:
            np.testing.assert_allclose(many[metric][number], one[metric])


def test_macro_leaves_out_classes_without_a_score() -> None:
    assert macro(np.array([0.5, np.nan, 1.0])) == 0.75
    assert np.isnan(macro(np.array([np.nan, np.nan])))


def test_rows_hold_pooled_scores_inside_their_intervals() -> None:
    rng = np.random.default_rng(1)
    per_event = rng.poisson([[40, 5], [10, 20]], (60, 2, 2))
    rows = {(r["metric"], r["class"]): r for r in score_rows(per_event, ["a", "b"], suffix="_x")}
    assert len(rows) == 4 * 3
    want = class_scores(per_event.sum(0))
    assert rows["f1_x", "b"]["value"] == pytest.approx(want["f1"][1])
    assert rows["iou_x", ""]["value"] == pytest.approx(want["iou"].mean())
    assert all(row["low"] < row["value"] < row["high"] for row in rows.values())


def test_confusion_rows_name_truth_first() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1]), np.array([1, 0, 1]), 2)
    cells = {row["class"]: row["value"] for row in confusion_rows(matrix, ["a", "b"])}
    assert cells == {"a>a": 1, "a>b": 1, "b>a": 0, "b>b": 1}


def shifted(seed: int, points: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of a good classifier whose boundary was pushed towards the rare classes."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, points, p=[0.9, 0.08, 0.02])
    logits = rng.standard_normal((points, 3)) + 3.0 * np.eye(3)[truth] + [0.0, 2.0, 3.5]
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32), truth


def mean_f1(log_p: np.ndarray, truth: np.ndarray, offset: np.ndarray) -> float:
    return float(macro(class_scores(confusion_matrix(truth, (log_p + offset).argmax(1), log_p.shape[1]))["f1"]))


def test_tuned_offsets_undo_the_shift_and_carry_over_to_other_points() -> None:
    offset = tune_decision_weights(*shifted(0))
    log_p, truth = shifted(1)
    assert mean_f1(log_p, truth, offset) > mean_f1(log_p, truth, np.zeros(3)) + 0.2
    assert offset[0] > offset[1] > offset[2]
    assert offset.mean() == pytest.approx(0)


def test_no_single_offset_can_be_improved_on_the_tuning_points() -> None:
    log_p, truth = shifted(2, 400)
    offset = tune_decision_weights(log_p, truth, rounds=20)
    best = mean_f1(log_p, truth, offset)
    for k in range(3):
        for change in np.linspace(-6, 6, 200):
            assert mean_f1(log_p, truth, offset + change * np.eye(3)[k]) <= best + 1e-9


def test_a_perfect_classifier_and_equal_scores_are_left_alone() -> None:
    truth = np.array([0, 1, 2, 1])
    perfect = np.log(np.eye(3)[truth] * 0.97 + 0.01).astype(np.float32)
    assert mean_f1(perfect, truth, tune_decision_weights(perfect, truth)) == 1.0
    equal = np.zeros((4, 3), np.float32)
    assert np.isfinite(tune_decision_weights(equal, truth)).all()
