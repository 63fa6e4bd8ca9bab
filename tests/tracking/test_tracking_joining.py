"""Joining pieces does what a loop over all pairs does, and one pass serves every threshold."""

import numpy as np

from event_tables import SPHENIX
from tpcfm.prepare.geometry.piece_features import piece_names
from tpcfm.prepare.geometry.pieces import Pieces
from tpcfm.tracking.joining import LEAST, cut, join_pieces

GAP = piece_names(SPHENIX).index("gap")


def score(features: np.ndarray) -> np.ndarray:
    """The nearer, the likelier; not for large ones, so that a pair gets less likely when one of it grows."""
    return np.exp(-(2.0 ** features[:, GAP]) / 20 - features[:, 1] / 20)


def pieces() -> Pieces:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-60, 60, (60, 3))
    none = np.zeros((2, 0), np.int64)
    return Pieces(SPHENIX, xyz, rng.uniform(0, 1, 60), none, np.zeros(0), np.arange(60) // 3 - 1)


def twin(threshold: float) -> np.ndarray:
    held = pieces()
    target = np.arange(len(held.members))
    while len(pairs := held.candidates()):
        chances = score(held.features(pairs))
        if chances.max() < threshold:
            break
        p, q = pairs[chances.argmax()]
        held.merge(p, q)
        target[target == q] = p
    labels = target[held.numbers]
    return np.where(np.bincount(labels)[labels] == 1, -1, labels)


def test_as_a_loop_over_all_pairs() -> None:
    joined = join_pieces(pieces(), score)
    seen = set()
    for threshold in (LEAST, 0.1, 0.2, 0.4, 0.99):
        found = cut(joined, threshold)
        np.testing.assert_array_equal(found, twin(threshold))
        seen.add(len(np.unique(found)))
    assert len(seen) > 2
    assert (cut(joined, 0.999) < 0).sum() == 3  # points that stay alone


def test_an_event_without_points() -> None:
    none = np.zeros((2, 0), np.int64)
    empty = Pieces(SPHENIX, np.zeros((0, 3)), np.zeros(0), none, np.zeros(0), np.zeros(0, np.int64))
    assert cut(join_pieces(empty, score), 0.5).shape == (0,)
