"""Track-finding metrics equal the plain definitions and scikit-learn, per event and over a test set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from tpcfm.errors import DataError
from tpcfm.evaluate.tracking import METRICS, TrackCounts, TrackingTally, adjusted_rand_index, double_majority


def plain(truth, prediction, min_true=1, min_predicted=1, select=None):
    """Double majority with sets of points, pair by pair."""

    def tracks(labels, least):
        ids = [int(label) for label in set(labels.tolist()) if label >= 0]
        groups = {label: set(np.flatnonzero(labels == label).tolist()) for label in ids}
        return {label: points for label, points in groups.items() if len(points) >= least}

    true, predicted = tracks(truth, min_true), tracks(prediction, min_predicted)
    if select is not None:
        true = {label: points for label, points in true.items() if label in select}
    counts = [0, len(true), len(predicted), 0, 0, 0]
    for a in true.values():
        for b in predicted.values():
            common = len(a & b)
            if common > len(a) / 2 and common > len(b) / 2:
                counts[0] += 1
                counts[3] += common
                counts[4] += len(a)
                counts[5] += len(b)
    return TrackCounts(*counts)


labels = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 6), min_size=n, max_size=n), st.lists(st.integers(-1, 6), min_size=n, max_size=n)
    )
)


@settings(max_examples=200, deadline=None)
@given(labels, st.integers(1, 5), st.integers(1, 5), st.sampled_from([None, (0, 2, 3)]))
def test_double_majority_equals_the_definition(pair, min_true, min_predicted, select):
    truth, prediction = (np.array(values) for values in pair)
    found = double_majority(truth, prediction, min_true=min_true, min_predicted=min_predicted, select=select)
    assert found == plain(truth, prediction, min_true, min_predicted, select)


@settings(max_examples=200, deadline=None)
@given(labels)
def test_rand_index_equals_scikit_learn(pair):
    truth, prediction = (np.array(values) for values in pair)
    assert adjusted_rand_index(truth, prediction) == pytest.approx(adjusted_rand_score(truth, prediction), abs=1e-12)


def test_half_is_no_majority():
    truth = np.array([0, 0, 0, 0, 1, 1])
    assert double_majority(truth, np.array([5, 5, 6, 6, 7, 7])).matched == 1
    assert double_majority(truth, np.array([5, 5, 5, 6, 7, 7])) == TrackCounts(2, 2, 3, 5, 6, 5)


def test_minimum_sizes_leave_small_tracks_out_of_both_ratios():
    truth = np.array([0] * 5 + [1] * 2 + [2] * 3)
    prediction = np.array([0] * 5 + [1] * 2 + [2] * 3)
    assert double_majority(truth, prediction) == TrackCounts(3, 3, 3, 10, 10, 10)
    sized = double_majority(truth, prediction, min_true=3, min_predicted=4)
    assert (sized.matched, sized.true, sized.predicted) == (1, 2, 1)


def noisy_events(n, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        size = int(rng.integers(5, 300))
        truth = rng.integers(0, rng.integers(1, 20), size)
        prediction = np.where(rng.random(size) < 0.2, rng.integers(-1, 20, size), truth)
        yield truth, prediction


def test_tally_sums_over_the_test_set():
    events = list(noisy_events(25))
    tally = TrackingTally()
    for truth, prediction in events:
        tally.update(truth, prediction)
    values = tally.values()
    assert tuple(values) == METRICS
    assert len(tally) == 25
    total = sum((plain(*event) for event in events), TrackCounts())
    sized = sum((plain(*event, 3, 4) for event in events), TrackCounts())
    assert tally.counts == total
    assert tally.counts_min_size == sized
    assert values["efficiency"] == total.matched / total.true
    assert values["purity"] == total.matched / total.predicted
    assert values["efficiency_min_size"] == sized.matched / sized.true
    assert values["purity_min_size"] == sized.matched / sized.predicted
    assert values["spacepoint_efficiency"] == total.shared_points / total.true_points
    assert values["spacepoint_purity"] == total.shared_points / total.predicted_points
    assert values["ari"] == pytest.approx(np.mean([adjusted_rand_score(*event) for event in events]))
    shift = [np.array([number * 1000]) for number in range(25)]
    truth = np.concatenate([event[0] + by for event, by in zip(events, shift)])
    prediction = np.concatenate([event[1] + by for event, by in zip(events, shift)])
    assert values["ari_pooled"] == pytest.approx(adjusted_rand_score(truth, prediction), abs=1e-12)


def test_packed_batch_equals_single_events_and_order_of_points_is_irrelevant():
    events = list(noisy_events(6, seed=3))
    single, packed, shuffled = TrackingTally(), TrackingTally(), TrackingTally()
    rng = np.random.default_rng(0)
    for truth, prediction in events:
        single.update(truth, prediction)
        order = rng.permutation(len(truth))
        shuffled.update(truth[order], prediction[order])
    offsets = np.cumsum([0] + [len(truth) for truth, _ in events])
    packed.update(np.concatenate([e[0] for e in events]), np.concatenate([e[1] for e in events]), offsets)
    np.testing.assert_array_equal(packed.table, single.table)
    np.testing.assert_array_equal(shuffled.table, single.table)


def test_interval_surrounds_the_value_and_is_repeatable():
    tally = TrackingTally()
    for event in noisy_events(60, seed=5):
        tally.update(*event)
    values, bounds = tally.values(), tally.intervals(draws=200)
    assert bounds == tally.intervals(draws=200)
    for name in METRICS:
        low, high = bounds[name]
        assert low < values[name] < high
        assert high - low < 0.3


def test_empty_sides_are_nan_and_wrong_shapes_are_errors():
    nothing = double_majority(np.array([0, 0]), np.array([-1, -1]))
    assert nothing.efficiency == 0.0
    assert np.isnan(nothing.purity)
    assert np.isnan(nothing.spacepoint_purity)
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        double_majority(np.zeros(3, int), np.zeros(2, int))
    with pytest.raises(DataError, match="offsets run"):
        TrackingTally().update(np.zeros(3, int), np.zeros(3, int), np.array([0, 2]))
