"""Choice of a clustering: the best of the grid, values beyond an edge where the best lies there, a mark where it stays there."""

import pytest

from tpcfm.tasks.clustering_choice import beyond, choose, grid


def peak(at):
    """Return a score that is largest at some parameters, and what was asked of it."""
    asked = []

    def score(choices):
        choices = list(choices)
        asked.extend(choices)
        return [-sum(abs(choice[name] - value) for name, value in at.items()) for choice in choices]

    return score, asked


KINDS = {"eps": ("scale", 0.0), "samples": ("count", 1.0), "threshold": ("score", 0.0)}


def test_inside_the_grid_nothing_more_is_tried():
    score, asked = peak({"eps": 0.5})
    chosen = choose({"eps": [1.0, 0.1, 0.5]}, KINDS, score)
    assert (chosen.choice, chosen.at_edge, chosen.tried) == ({"eps": 0.5}, False, 3)
    assert asked == grid({"eps": [1.0, 0.1, 0.5]})


def test_the_first_of_equals_wins():
    chosen = choose({"eps": [0.5, 0.3, 0.4, 0.6]}, KINDS, lambda choices: [0.0 for _ in choices])
    assert chosen.choice == {"eps": 0.5}
    assert not chosen.at_edge


@pytest.mark.parametrize("at", [0.2, 3.0])
def test_an_edge_is_passed_until_the_best_lies_inside(at):
    chosen = choose({"eps": [1.0, 0.5]}, KINDS, peak({"eps": at})[0])
    assert abs(chosen.choice["eps"] / at - 1) < 0.25
    assert not chosen.at_edge


def test_every_parameter_is_followed():
    chosen = choose({"eps": [1.0, 0.5], "samples": [4, 2]}, KINDS, peak({"eps": 0.55, "samples": 7})[0])
    assert chosen.choice["eps"] == 0.5
    assert chosen.choice["samples"] == 6
    assert not chosen.at_edge


def test_an_edge_that_is_not_passed_is_marked():
    chosen = choose({"eps": [1.0, 2.0]}, KINDS, peak({"eps": 1e6})[0], rounds=3)
    assert chosen.choice["eps"] == pytest.approx(2 * 1.5**3)
    assert chosen.at_edge


def test_natural_limits_and_given_values_are_no_edges():
    assert not choose({"samples": [3, 1]}, KINDS, peak({"samples": 0})[0]).at_edge
    assert not choose({"eps": [0.3]}, KINDS, peak({"eps": 9})[0]).at_edge
    assert beyond("count", 1, False, 1) is None
    assert beyond("scale", 0.0, True) is None
    assert beyond("count", 2, True) == 3
    assert beyond("score", 0.9, True) == pytest.approx(0.95)
    assert beyond("score", 0.3, False) == pytest.approx(0.15)
