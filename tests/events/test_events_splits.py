"""Splits and label subsets are pure functions of event id and seed, with the shares asked for, and nested."""

import numpy as np
import pytest

from tpcfm.config.splits import describe_shares, hash_split, published_shares, published_split
from tpcfm.errors import DataError
from tpcfm.events.splits import data_fraction, label_order

IDS = [f"lartpc/part_{i % 7}/{i}" for i in range(20_000)]


def test_shares_come_out_as_asked_and_do_not_depend_on_other_events():
    drawn = [hash_split(key, 0.1, 0.2, 3) for key in IDS]
    shares = [drawn.count(name) / len(IDS) for name in ("train", "validation", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    assert [hash_split(key, 0.1, 0.2, 3) for key in reversed(IDS)] == drawn[::-1]
    assert drawn != [hash_split(key, 0.1, 0.2, 4) for key in IDS]
    assert {hash_split(key, 0.0, 0.0) for key in IDS} == {"train"}


def test_growing_the_validation_share_moves_no_test_event():
    small, large = ([hash_split(key, share, 0.1) for key in IDS] for share in (0.05, 0.3))
    assert all(new == old for old, new in zip(small, large) if old != "train")


def test_label_subsets_are_nested_and_survive_more_files():
    order = label_order(IDS, seed=1)
    assert sorted(order) == list(range(len(IDS)))
    fewer = IDS[:5000]
    kept = [i for i in order if i < len(fewer)]
    assert kept == label_order(fewer, seed=1).tolist()
    shuffled = np.random.default_rng(0).permutation(len(IDS))
    again = label_order([IDS[i] for i in shuffled], seed=1)
    assert np.array_equal(shuffled[again], order)
    assert not np.array_equal(order, label_order(IDS, seed=2))


def test_label_order_is_independent_of_the_split():
    test = {key for key in IDS if hash_split(key, 0.0, 0.5, 0) == "test"}
    first = [IDS[i] in test for i in label_order(IDS, seed=0)[:4000]]
    assert np.mean(first) == pytest.approx(0.5, abs=0.03)


def test_data_fractions_are_nested_and_sorted():
    tenth, half = data_fraction(IDS, 0.1), data_fraction(IDS, 0.5)
    assert (len(tenth), len(half)) == (2000, 10_000)
    assert set(tenth) < set(half)
    assert np.all(np.diff(half) > 0)
    assert data_fraction(IDS, 1.0).tolist() == list(range(len(IDS)))
    assert len(data_fraction(IDS[:3], 1e-9)) == 1
    for wrong in (0.0, 1.5, -1.0):
        with pytest.raises(DataError, match="allowed is more than 0"):
            data_fraction(IDS, wrong)


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("data/train/a.h5", "train"),
        ("data/val/a.h5", "validation"),
        ("labeled/validation/spacepoints.npz", "validation"),
        ("train/old/test/a.h5", "test"),
        ("unlabeled/spacepoints_001.npz", "train"),
    ],
)
def test_published_splits_come_from_the_nearest_folder(tmp_path, path, split):
    assert published_split(tmp_path / path) == split


def test_a_folder_without_a_split_is_an_error():
    with pytest.raises(DataError, match="no folder of its path names a published split"):
        published_split("/data/run7/a.h5")


@pytest.mark.parametrize(
    ("present", "train", "validation", "test"),
    [
        (("train", "validation", "test"), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
        (("train", "validation"), (0.9, 0.1, 0), (0, 0, 1), None),
        (("train", "test"), (0.9, 0.1, 0), None, (0, 0, 1)),
        (("train",), (0.7, 0.1, 0.2), None, None),
    ],
)
def test_what_a_release_lacks_is_made_of_the_others(present, train, validation, test):
    for name, shares in zip(("train", "validation", "test"), (train, validation, test)):
        if shares is not None:
            found = published_shares(name, present, 0.1, 0.2)
            assert [found[s] for s in ("train", "validation", "test")] == pytest.approx(shares)
    assert ("hash share of 0.1" in describe_shares(present, 0.1, 0.2)) == (len(present) < 3)


def test_without_a_published_test_choices_and_scores_never_share_an_event():
    drawn = {}
    for name in ("train", "validation"):
        shares = published_shares(name, ["train", "validation"], 0.1, 0.2)
        drawn[name] = [hash_split(f"{name}/{key}", shares["validation"], shares["test"]) for key in IDS]
    assert set(drawn["validation"]) == {"test"}
    assert set(drawn["train"]) == {"train", "validation"}
    assert drawn["train"].count("validation") / len(IDS) == pytest.approx(0.1, abs=0.01)
