"""The order of events is a permutation per epoch, pure, and the same on any number of ranks and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpcfm.errors import ConfigError, DataError
from tpcfm.train import PackedSource, keyed_generator
from tpcfm.train.sampler import EpochSampler, permute
from train_toys import ToyStore, collate


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 700), seed=st.integers(0, 2**40), epoch=st.integers(0, 10**6))
def test_each_epoch_is_a_permutation(size, seed, epoch):
    out = permute(np.arange(size), size, seed, epoch)
    assert np.array_equal(np.sort(out), np.arange(size))
    assert np.array_equal(permute(np.arange(size)[::-1], size, seed, epoch), out[::-1])


def test_epochs_and_seeds_differ_and_places_are_uniform():
    size, epochs = 40, 1000
    orders = np.array([permute(np.arange(size), size, 1, e) for e in range(epochs)])
    assert len(np.unique(orders, axis=0)) == epochs
    assert not np.array_equal(orders[0], permute(np.arange(size), size, 2, 0))
    # Chi-square of where event 0 goes, and of the step between neighbours: 39 degrees of freedom each, mean 39, sd 8.8.
    for places in (np.argmax(orders == 0, axis=1), (orders[:, 1] - orders[:, 0]) % size):
        counts = np.bincount(places, minlength=size)[int(np.all(places > 0)) :]
        assert ((counts - epochs / len(counts)) ** 2 / (epochs / len(counts))).sum() < 39 + 5 * 8.8


def test_a_few_positions_of_a_huge_set_cost_nothing():
    out = permute(np.arange(1000), 10**12, 0, 0)
    assert len(np.unique(out)) == 1000
    assert out.max() > 9e11


def test_positions_out_of_range_are_refused():
    with pytest.raises(IndexError, match=r"\[0, 5\)"):
        permute(np.array([5]), 5, 0, 0)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 50), batch=st.integers(1, 120))
def test_batches_are_full_and_every_event_comes_once_per_epoch(size, batch):
    sampler = EpochSampler(size, batch, seed=5)
    steps = -(-3 * size // batch)  # three epochs and the rest of the last batch
    seen = {}
    for step in range(steps):
        segments = sampler.batch(step)
        assert sum(len(numbers) for _, numbers in segments) == batch
        assert segments[0][0] == sampler.epoch(step)
        for epoch, numbers in segments:
            seen.setdefault(epoch, []).extend(numbers)
    for epoch in range(3):
        assert sorted(seen[epoch]) == list(range(size))


def source_of(store, **options):
    return PackedSource(
        store, np.arange(len(store)), collate, **{"batch_size": 10, "max_points": 60, "seed": 2, **options}
    )


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_divide_the_same_global_batch(world):
    source = source_of(ToyStore(25))
    for step in range(6):
        plans = [source.plan(step, rank, world) for rank in range(world)]
        rows = [(info.epoch, row) for plan in plans for info, rows in plan for row in rows]
        expected = [(epoch, row) for epoch, numbers in source.sampler.batch(step) for row in numbers]
        assert sorted(rows) == sorted(expected)
        loads = [sum(int(source.store.lengths[rows].sum()) for _, rows in plan) for plan in plans]
        assert max(loads) - min(loads) <= source.store.lengths.max()


def test_micro_batches_keep_the_budget_and_one_epoch_and_lose_nothing():
    source = source_of(ToyStore(25), max_points=50)
    for step in range(6):
        batches = list(source.micro_batches(step))
        assert all(batch["offsets"][-1] <= 50 for _, batch in batches)
        assert sum(len(batch["event_key"]) for _, batch in batches) == 10
        assert all(info.step == step and info.training for info, _ in batches)


def test_an_event_above_the_budget_has_a_micro_batch_of_its_own():
    source = source_of(ToyStore(25), max_points=5)
    assert all(len(rows) == 1 or source.store.lengths[rows].sum() <= 5 for _, rows in source.plan(0))


def test_loader_threads_change_nothing():
    store = ToyStore(25)
    plain, threaded = (list(source_of(store, workers=w).stream(2, 9)) for w in (0, 3))
    for left, right in zip(plain, threaded, strict=True):
        for (info, a), (other, b) in zip(left, right, strict=True):
            assert info == other
            assert all(np.array_equal(a[k], b[k]) for k in a)


def test_a_failing_loader_thread_raises_its_error():
    def broken(store, rows, info):
        raise DataError("event 7 is damaged")

    source = PackedSource(ToyStore(5), np.arange(5), broken, batch_size=2, max_points=9, seed=0, workers=2)
    with pytest.raises(DataError, match="event 7"):
        next(source.stream(0, 3))


def test_even_ranks_have_equally_many_micro_batches_of_the_same_events():
    store = ToyStore(25)
    store.lengths = np.array([50, *[5] * 24])
    source = source_of(store, even=True, max_points=50)
    plans = [source.plan(0, rank, 2) for rank in range(2)]
    assert len(plans[0]) == len(plans[1])
    assert sum(len(rows) for plan in plans for _, rows in plan) == 10
    for rank in range(2):  # all ranks see it, so none waits for another
        with pytest.raises(ConfigError, match="too few events"):
            source_of(store, even=True, batch_size=1).plan(0, rank, 2)


def test_no_events_is_an_error():
    with pytest.raises(DataError, match="no events"):
        PackedSource(ToyStore(5), [], collate, batch_size=2, max_points=9, seed=0)


def test_draws_are_keyed_by_seed_epoch_event_and_purpose():
    base = (1, 2, 2**64 - 3, "mask")
    draw = keyed_generator(*base).random(4)
    assert np.array_equal(draw, keyed_generator(*base).random(4))
    assert np.array_equal(draw, keyed_generator(1, 2, np.uint64(2**64 - 3), "mask").random(4))
    for other in [
        (2, 2, 2**64 - 3, "mask"),
        (1, 3, 2**64 - 3, "mask"),
        (1, 2, 5, "mask"),
        (1, 2, 2**64 - 3, "rotation"),
    ]:
        assert not np.array_equal(draw, keyed_generator(*other).random(4))


def test_draws_of_many_events_are_uniform():
    draws = np.array([keyed_generator(0, 0, key, "mask").random() for key in range(4000)])
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 19 + 5 * 6.2
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.06
