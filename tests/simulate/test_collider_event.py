"""Guarantees what one simulated event looks like: radii on the layers, exact types, labels, resolution, curvature, buffers."""

import numpy as np
import pytest

from tpcfm.simulate.collider import species
from tpcfm.simulate.collider.apparatus import HALF_LENGTH_CM, LAYER_RADII_CM, NOISE_MOMENTUM_GEV, PT_PER_RADIUS
from tpcfm.simulate.collider.event import Detector, Event
from tpcfm.simulate.collider.files import simulate_events
from tpcfm.simulate.collider.settings import DEFAULT

QUIET = DEFAULT._replace(soft_electrons=0.0, backscatter=0.0, spallation_per_gram=0.0)


def _primary(code: int, px: float, py: float, pz: float, z: float = 0.0) -> list[float]:
    return [code, 0.0, 0.0, z, 0.0, px, py, pz]


@pytest.fixture(scope="module")
def sample() -> list[Event]:
    return list(simulate_events("gun", 4, 0, 60))


def test_types_and_shapes_are_those_of_the_published_files(sample: list[Event]) -> None:
    for event in sample:
        n = len(event.points)
        assert event.points.dtype == np.float32
        assert event.points.shape == (n, 4)
        assert event.track.dtype == np.uint16
        assert event.pid.dtype == np.uint8
        assert event.noise.dtype == np.bool_
        assert event.track.shape == event.pid.shape == event.noise.shape == (n,)
        assert n >= DEFAULT.min_points


def test_points_lie_on_the_48_layers_inside_the_chamber(sample: list[Event]) -> None:
    points = np.concatenate([event.points for event in sample]).astype(np.float64)
    assert np.isfinite(points).all()
    r = np.hypot(points[:, 1], points[:, 2])
    away = r[:, None] - LAYER_RADII_CM
    nearest = np.abs(away).argmin(axis=1)
    offset = away[np.arange(len(r)), nearest]
    assert offset.min() > -1e-4
    assert offset.max() < 0.0181
    assert set(nearest.tolist()) == set(range(48))
    assert np.abs(points[:, 3]).max() <= HALF_LENGTH_CM
    assert points[:, 0].min() >= DEFAULT.threshold_adc * (1 - 1e-6)
    assert points[:, 0].max() <= DEFAULT.saturation_adc


def test_labels_are_constant_in_a_track_and_follow_its_particle(sample: list[Event]) -> None:
    label = {int(pdg): int(code) for pdg, code in zip(species.PDG, species.LABEL)}
    for event in sample:
        assert sorted(set(event.track.tolist())) == list(range(len(event.particles)))
        assert event.particles[:, 0].tolist() == list(range(len(event.particles)))
        assert event.pid.tolist() == [label[int(pdg)] for pdg in event.particles[event.track, 1]]
        momentum = np.linalg.norm(event.particles[:, 2:5], axis=1)
        assert event.noise.tolist() == (momentum < NOISE_MOMENTUM_GEV)[event.track].tolist()
        mass = np.sqrt(np.maximum(event.particles[:, 5] ** 2 - momentum**2, 0.0))
        expected = [species.MASS[species.PDG.tolist().index(int(pdg))] for pdg in event.particles[:, 1]]
        assert mass == pytest.approx(expected, abs=2e-3)
        assert set(np.abs(event.particles[:, 9])) <= {1.0}


def test_points_are_not_sorted_by_track(sample: list[Event]) -> None:
    event = max(sample, key=lambda event: len(event.particles))
    assert np.count_nonzero(np.diff(event.track.astype(int))) > len(event.points) / 4


def test_a_stiff_central_muon_leaves_one_point_per_layer_within_the_resolution() -> None:
    detector = Detector(QUIET)
    across, along, complete = [], [], 0
    for key in range(120):
        azimuth = 0.37 * key
        event = detector.simulate(
            np.array([_primary(species.MUON_MINUS, 50 * np.cos(azimuth), 50 * np.sin(azimuth), 15.0, 2.0)]), key
        )
        points = event.points[event.pid == 0].astype(np.float64)
        r = np.hypot(points[:, 1], points[:, 2])
        layers = np.unique(np.abs(r[:, None] - LAYER_RADII_CM).argmin(axis=1))
        assert len(r) == len(layers) >= 44  # a knock-on electron may take over a point
        complete += len(layers) == 48
        phi = np.angle(np.exp(1j * (np.arctan2(points[:, 2], points[:, 1]) - azimuth - r * PT_PER_RADIUS / 2 / 50)))
        across += list(r * (phi - np.polyval(np.polyfit(r, phi, 2), r)))
        along += list(points[:, 3] - np.polyval(np.polyfit(r, points[:, 3], 1), r))

    assert complete > 80

    def core(values: list[float]) -> float:  # half of the central 68 per cent: merged knock-on electrons have tails
        return float(np.subtract(*np.quantile(values, [0.84, 0.16])) / 2)

    assert 0.012 < core(across) < 0.022
    assert 0.035 < core(along) < 0.075


@pytest.mark.parametrize("charge", [-1, 1])
def test_the_circle_fit_gives_back_the_transverse_momentum(charge: int) -> None:
    detector = Detector(QUIET)
    code = species.PION_PLUS if charge > 0 else species.PION_MINUS
    for key, pt in enumerate([0.3, 0.5, 0.8, 1.2]):
        ratio = []
        for repeat in range(15):
            event = detector.simulate(np.array([_primary(code, pt, 0.0, 0.2 * pt)]), 100 * key + repeat)
            x, y = (
                event.points[event.pid == 1, 1].astype(np.float64),
                event.points[event.pid == 1, 2].astype(np.float64),
            )
            if len(x) < 40:  # decayed or absorbed
                continue
            a, b, c = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], 1), x * x + y * y, rcond=None)[0]
            ratio.append(PT_PER_RADIUS * np.sqrt(c + a * a / 4 + b * b / 4) / pt)
            assert np.sign(b) == -charge  # positive particles bend clockwise
        assert len(ratio) > 5
        assert np.median(ratio) == pytest.approx(1.0, abs=0.04)


def test_slow_pions_curl_and_protons_ionise_more() -> None:
    detector = Detector(QUIET)
    loopers = [
        len(detector.simulate(np.array([_primary(species.PION_MINUS, 0.12, 0.0, 0.01)]), key).points)
        for key in range(20)
    ]
    assert np.median(loopers) > 60
    energy = {}
    for code in (species.PION_PLUS, species.PROTON):
        found = [detector.simulate(np.array([_primary(code, 0.5, 0.0, 0.1)]), key) for key in range(20)]
        energy[code] = np.median(np.concatenate([event.points[:, 0] for event in found]))
    assert energy[species.PROTON] > 2.0 * energy[species.PION_PLUS]


def test_photons_convert_into_pairs_and_neutrons_leave_nothing() -> None:
    detector = Detector(QUIET)
    pairs = 0
    for key in range(400):
        event = detector.simulate(np.array([_primary(species.PHOTON, 0.6, 0.3, 0.1)]), key)
        if len(event.points):
            assert set(np.abs(event.particles[:, 1])) == {11.0}
            pairs += 1
    assert 8 <= pairs <= 45  # 5 to 6 per cent of a radiation length, times 7/9, less what stays in the pipe
    assert len(detector.simulate(np.array([_primary(species.NEUTRAL, 0.6, 0.3, 0.1)]), 1).points) == 0


def test_an_event_without_particles_is_empty() -> None:
    event = Detector().simulate(np.zeros((0, 8)), 1)
    assert len(event.points) == len(event.track) == len(event.particles) == 0


def test_buffers_that_are_too_small_grow_without_changing_the_event() -> None:
    primaries = np.array([_primary(species.PION_PLUS, 0.1 + 0.02 * i, 0.05 * i, 0.05) for i in range(20)])
    expected = Detector().simulate(primaries, 11)
    small = Detector()
    small._stack, small._deposits, small._tracks = np.empty((1, 8)), np.empty((4, 8)), np.empty((1, 8))
    event = small.simulate(primaries, 11)
    assert np.array_equal(event.points, expected.points)
    assert np.array_equal(event.track, expected.track)
    assert np.array_equal(event.particles, expected.particles)


def test_two_tracks_in_the_same_place_make_single_points_of_the_summed_energy() -> None:
    detector = Detector(QUIET._replace(saturation_adc=1e9))
    one, two = [], []
    for key in range(30):
        track = _primary(species.MUON_MINUS, 20.0, 0.0, 4.0)
        one.append(detector.simulate(np.array([track]), key))
        two.append(detector.simulate(np.array([track, track]), 1000 + key))
    # points of the muons alone: a knock-on electron may add dozens of its own
    many = [np.mean([np.count_nonzero(event.pid == 0) for event in events]) for events in (one, two)]
    assert many[0] == pytest.approx(48, abs=1.5)
    assert many[1] == pytest.approx(48, abs=1.5)
    energy = [np.median(np.concatenate([e.points[e.pid == 0, 0] for e in events])) for events in (one, two)]
    assert 1.7 < energy[1] / energy[0] < 2.4
    assert max(len(set(event.track[event.pid == 0].tolist())) for event in two) == 2  # both own some points


def test_kaons_decay_in_flight_with_their_lifetime() -> None:
    detector = Detector(QUIET)
    momentum, tries = 1.0, 600
    survivors = 0
    for key in range(tries):
        event = detector.simulate(np.array([_primary(species.KAON_MINUS, momentum, 0.0, 0.0)]), key)
        # A kaon that lives leaves points of its own in the last layer.
        last = np.hypot(event.points[:, 1], event.points[:, 2]) > 75.3
        survivors += bool(np.any(last & (event.pid == 2)))
    expected = np.exp(-75.4 * species.MASS[species.KAON_MINUS] / (momentum * species.CTAU[species.KAON_MINUS]))
    assert survivors / tries == pytest.approx(expected, abs=0.035)
