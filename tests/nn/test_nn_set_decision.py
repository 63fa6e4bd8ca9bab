"""The decision of points among queries: the published rule, and what its three numbers do."""

import pytest
import torch

from tpcfm.nn.set_decision import PUBLISHED, SetDecision, decide

CHANCES = torch.tensor([0.9, 0.4, 0.6])
MASKS = torch.tensor([[0.5, 0.1, 0.1, 0.2], [0.9, 0.9, 0.2, 0.1], [0.6, 0.3, 0.8, 0.9]])


def test_the_published_rule_asks_queries_above_one_half() -> None:
    # 0.45 against 0.36; 0.09 against 0.18; then 0.48 and 0.54: the second query never takes part.
    assert decide(CHANCES, MASKS).tolist() == [0, 2, 2, 2]


def test_a_lower_threshold_lets_an_unsure_query_take_part() -> None:
    assert decide(CHANCES, MASKS, SetDecision(threshold=0.3)).tolist() == [0, 1, 2, 2]


def test_without_power_the_masks_decide_alone() -> None:
    assert decide(CHANCES, MASKS, SetDecision(threshold=0.0, power=0.0)).tolist() == [1, 1, 2, 2]


def test_small_tracks_dissolve_and_their_points_choose_again() -> None:
    assert decide(CHANCES, MASKS, SetDecision(min_points=2)).tolist() == [2, 2, 2, 2]


def test_where_every_track_is_small_all_stay() -> None:
    assert decide(CHANCES, MASKS, SetDecision(min_points=9)).tolist() == [0, 2, 2, 2]


def test_no_query_is_sure_enough() -> None:
    assert decide(CHANCES, MASKS, SetDecision(threshold=0.95)).tolist() == [-1] * 4


@pytest.mark.parametrize("points", [0, 5])
def test_every_point_gets_one_label(points: int) -> None:
    labels = decide(torch.rand(7), torch.rand(7, points), PUBLISHED)
    assert labels.shape == (points,)
    assert labels.dtype == torch.int64
