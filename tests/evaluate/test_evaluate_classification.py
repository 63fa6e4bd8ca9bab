"""Classification metrics equal scikit-learn over the classes that occur, and stream to the same numbers."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

from tpcfm.errors import DataError
from tpcfm.evaluate.classification import ConfusionTally, class_scores, confusion_matrix, overall_scores


def draw(seed, n=2000, classes=5, absent=None):
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    prediction = np.where(rng.random(n) < 0.6, truth, rng.integers(0, classes, n))
    if absent is not None:
        truth = np.where(truth == absent, 0, truth)
    return truth, prediction


@pytest.mark.parametrize("absent", [None, 3])
def test_scores_equal_scikit_learn(absent):
    truth, prediction = draw(1, absent=absent)
    matrix = confusion_matrix(truth, prediction, 5)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(truth, prediction, labels=range(5)))
    present = np.unique(truth)
    scores, overall = class_scores(matrix), overall_scores(matrix)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, prediction, labels=present, zero_division=0
    )
    iou = metrics.jaccard_score(truth, prediction, labels=present, average=None)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("iou", iou)):
        np.testing.assert_allclose(scores[name][present], expected)
        assert overall[name] == pytest.approx(expected.mean())
        assert np.isnan(scores[name]).sum() == 5 - len(present)
    assert overall["accuracy"] == pytest.approx(metrics.accuracy_score(truth, prediction))
    assert overall["majority"] == pytest.approx(np.bincount(truth).max() / len(truth))


def test_class_never_predicted_has_zero_precision():
    scores = class_scores(confusion_matrix(np.array([0, 0, 1]), np.array([0, 0, 0]), 2))
    np.testing.assert_allclose(scores["precision"], [2 / 3, 0])
    np.testing.assert_allclose(scores["recall"], [1, 0])


def test_streaming_equals_one_pass():
    truth, prediction = draw(2, 900)
    tally, packed = ConfusionTally(["other", "pion", "kaon", "proton", "electron"]), ConfusionTally(5)
    bounds = [0, 100, 100, 450, 900]
    for start, stop in itertools.pairwise(bounds):
        tally.update(truth[start:stop], prediction[start:stop])
    packed.update(truth, prediction, np.array(bounds))
    np.testing.assert_array_equal(tally.table, packed.table)
    np.testing.assert_array_equal(tally.matrix, confusion_matrix(truth, prediction, 5))
    assert tally.values() == overall_scores(tally.matrix)
    table = tally.per_class()
    assert list(table["class"]) == ["other", "pion", "kaon", "proton", "electron"]
    np.testing.assert_array_equal(table["points"], np.bincount(truth, minlength=5))
    assert table["share"].sum() == pytest.approx(1)
    for name, (low, high) in tally.intervals(draws=100).items():
        assert low <= tally.values()[name] + 0.05
        assert high >= tally.values()[name] - 0.05


def test_wrong_labels_are_named():
    with pytest.raises(DataError, match="truth holds 0 to 5; allowed: 0 to 4"):
        confusion_matrix(np.array([0, 5]), np.array([0, 1]), 5)
    with pytest.raises(DataError, match="prediction holds -1"):
        confusion_matrix(np.array([0, 1]), np.array([0, -1]), 2)
    with pytest.raises(DataError, match="expected equal"):
        confusion_matrix(np.array([0]), np.array([0, 1]), 2)
    assert np.isnan(overall_scores(np.zeros((2, 2)))["accuracy"])
