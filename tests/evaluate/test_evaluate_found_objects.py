"""Panoptic quality against its definition, sums of the signal of matched objects, classes by the majority of an object's points."""

import numpy as np
import pytest

from tpcfm.evaluate.found_objects import ObjectTally, object_classes


def slow_qualities(events: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """By the definition: every pair of objects, one after another."""
    shares, true, found = [], 0, 0
    for truth, prediction in events:
        ids, others = (sorted(set(values[values >= 0].tolist())) for values in (truth, prediction))
        true, found = true + len(ids), found + len(others)
        for one in ids:
            for other in others:
                a, b = truth == one, prediction == other
                share = (a & b).sum() / (a | b).sum()
                shares += [share] if share > 0.5 else []
    matched = len(shares)
    recognition = matched / (matched + 0.5 * (found - matched) + 0.5 * (true - matched))
    segmentation = float(np.mean(shares))
    return {
        "panoptic_quality": segmentation * recognition,
        "segmentation_quality": segmentation,
        "recognition_quality": recognition,
    }


def test_qualities_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    events, tally = [], ObjectTally()
    for _ in range(6):
        truth = np.repeat(np.arange(-1, 8), rng.integers(1, 30, 9))
        prediction = np.where(rng.random(len(truth)) < 0.25, rng.integers(-1, 9, len(truth)), (truth + 2) % 10)
        events.append((truth, prediction))
        tally.update(truth, prediction)
    values, intervals = tally.values(), tally.intervals()
    assert values == pytest.approx(slow_qualities(events))
    for name, value in values.items():
        assert intervals[name][0] <= value <= intervals[name][1]


def test_signal_of_matched_objects() -> None:
    tally = ObjectTally()
    signal = np.ones(100)
    signal[90:] = 5.0
    truth = np.repeat(np.arange(10), 10)
    prediction = truth.copy()
    prediction[90:92] = -1  # a fifth of the last object is lost
    for _ in range(3):
        tally.update(truth, prediction, signal)
    values = tally.values()
    assert values["signal_bias"] == 0
    residual = np.tile([0.0] * 9 + [-0.2], 3)
    low, high = np.quantile(residual, [0.16, 0.84])
    assert values["signal_resolution"] == pytest.approx((high - low) / 2)
    assert tally.intervals()["signal_resolution"][1] >= values["signal_resolution"]


def test_nothing_found_and_nothing_there() -> None:
    tally = ObjectTally()
    tally.update(np.array([0, 0, 1]), np.full(3, -1), np.ones(3))
    values = tally.values()
    assert values["panoptic_quality"] == values["recognition_quality"] == 0
    assert np.isnan(values["segmentation_quality"])
    assert "signal_bias" not in values
    empty = ObjectTally()
    empty.update(np.full(3, -1), np.full(3, -1))
    assert np.isnan(empty.values()["panoptic_quality"])


def test_classes_of_objects_are_those_of_most_points() -> None:
    owner = np.array([7, 7, 7, 2, 2, 2, -1, 4])
    truth = np.array([1, 1, 0, 2, 2, -1, 1, -1])
    decided = np.array([0, 0, 1, 2, 0, 0, 1, 1])
    true, found = object_classes(owner, truth, decided, 3)
    assert true.tolist() == [2, 1]  # of 2 and 7; 4 has no point with a class
    assert found.tolist() == [0, 0]  # of 2 a tie between 0 and 2: its point without a class has no vote
    assert [len(part) for part in object_classes(np.full(3, -1), truth[:3], decided[:3], 3)] == [0, 0]
