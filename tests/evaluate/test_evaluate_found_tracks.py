"""Found tracks are good, duplicates or fakes by rule; their fitted momentum and charge stand beside the truth, with intervals."""

import numpy as np
import pytest

from tpcfm.evaluate.found_tracks import FoundTracks, fates
from tpcfm.evaluate.selected_tracks import Particles
from tpcfm.evaluate.tracking import overlap

PT_PER_RADIUS = 0.0042


def helix(pt: float, charge: int, phi: float, points: int) -> np.ndarray:
    """Crossings of a helix from the beam line with so many layers."""
    radius, r = pt / PT_PER_RADIUS, np.linspace(31, 75, points)
    angle = phi - charge * np.arcsin(r / (2 * radius))
    return np.stack([r * np.cos(angle), r * np.sin(angle), 0.2 * r], axis=1)


def event(*tracks: tuple[float, int, int]) -> tuple[np.ndarray, np.ndarray, Particles]:
    """Labels, points and particles of tracks (pT, charge, points)."""
    xyz = np.concatenate([helix(pt, charge, 1.5 * i, n) for i, (pt, charge, n) in enumerate(tracks)])
    truth = np.repeat(np.arange(len(tracks)), [n for _, _, n in tracks])
    pt, charge = (np.array([track[k] for track in tracks]) for k in (0, 1))
    zero = np.zeros(len(tracks))
    return truth, xyz, Particles(np.arange(len(tracks)), pt.astype(float), zero + 0.2, zero, charge)


def test_fates() -> None:
    truth = np.repeat([0, 1, 2, -1], [20, 20, 20, 10])
    found = np.concatenate([np.repeat([0, 1], [12, 8]), np.repeat([2], 20), np.repeat([3, 4], 10), np.repeat([5], 10)])
    found[40:60] = [3] * 10 + [4] * 10
    found[20:30] = 3  # half of cluster 3 is of track 1, half of track 2: nobody's
    fate, owner = fates(overlap(truth, found))
    assert dict(zip(range(6), fate, strict=True)) == {
        0: "good",
        1: "duplicate",
        2: "good",
        3: "fake",
        4: "good",
        5: "fake",
    }
    assert owner.tolist() == [1, 1, 2, -1, 3, -1]  # rows of the true labels -1, 0, 1, 2


def test_a_perfect_answer_has_the_true_momenta_and_charges() -> None:
    tally = FoundTracks(PT_PER_RADIUS)
    for _ in range(3):
        truth, xyz, particles = event((0.4, 1, 40), (1.5, -1, 40), (6.0, 1, 40), (1.0, 1, 4))
        tally.update(truth, truth, xyz, particles)
    values = tally.values()
    assert values["fake_rate"] == values["duplicate_rate"] == 0
    assert values["charge_correct"] == 1
    assert abs(values["pt_bias"]) < 1e-6 > values["pt_resolution"]
    frame = tally.frame
    assert frame["kind"].value_counts().to_dict() == {"true": 9, "found": 9}  # of 4 points: left out
    assert set(frame["occupancy"]) == {124}
    np.testing.assert_allclose(frame.loc[frame["kind"] == "found", "pt"].iloc[:3], [0.4, 1.5, 6.0], rtol=1e-6)


def test_wrong_answers_are_counted_with_intervals() -> None:
    truth, xyz, particles = event((0.5, 1, 40), (2.0, -1, 40))
    particles.charge[1] = 1  # as if the truth were the other sign
    found = truth.copy()
    found[25:40] = 2  # a second piece of the first track
    tally = FoundTracks(PT_PER_RADIUS)
    tally.update(truth, found, xyz, particles)
    values, intervals = tally.values(), tally.intervals()
    assert values["duplicate_rate"] == pytest.approx(1 / 3)
    assert values["charge_correct"] == 0.5
    for name, value in values.items():
        low, high = intervals[name]
        assert low <= value <= high, name


def test_without_particles_only_what_needs_none() -> None:
    truth, xyz, _ = event((0.5, 1, 40), (2.0, -1, 40))
    tally = FoundTracks(PT_PER_RADIUS)
    tally.update(truth, truth, xyz, None)
    assert set(tally.values()) == {"fake_rate", "duplicate_rate"}
    true = tally.frame[tally.frame["kind"] == "true"]
    np.testing.assert_allclose(true["pt"], [0.5, 2.0], rtol=1e-6)  # of the fit to the true track
    assert FoundTracks(PT_PER_RADIUS).values() == {}
