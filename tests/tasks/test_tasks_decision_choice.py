"""The decision of a track finder is chosen on validation events: the best one wins, the published one in a tie."""

import numpy as np
import pytest
import torch

from tpcfm.errors import DataError
from tpcfm.nn.set_decision import PUBLISHED
from tpcfm.tasks.decision_choice import SetEvent, as_decision, choose_decision


def event(chances: list[float], sharp: float = 0.9) -> SetEvent:
    """Two tracks of ten points that the first two queries have found, the third claims a little of everything."""
    truth = np.repeat([4, 7], 10)
    masks = torch.full((3, 20), 0.05)
    masks[0, :10] = masks[1, 10:] = sharp
    masks[2] = 0.3
    return truth, torch.tensor(chances), masks


def test_good_masks_of_an_unsure_head_are_found() -> None:
    chosen = choose_decision([event([0.4, 0.45, 0.2])] * 3)
    assert chosen.value == pytest.approx(1.0)
    assert as_decision(chosen.choice).threshold < 0.4


def test_the_published_rule_stays_where_nothing_is_better() -> None:
    chosen = choose_decision([event([0.9, 0.9, 0.1])])
    assert as_decision(chosen.choice) == PUBLISHED
    assert chosen.value == pytest.approx(1.0)


def test_splinters_are_dissolved() -> None:
    truth, chances, masks = event([0.9, 0.9, 0.9])
    masks[2, [3, 14]] = 0.99
    chosen = choose_decision([(truth, chances, masks)])
    assert chosen.value == pytest.approx(1.0)
    assert as_decision(chosen.choice).min_points > 2


def test_nothing_to_choose_on() -> None:
    with pytest.raises(DataError, match="no validation event"):
        choose_decision([])
