"""Guarantees that simulated liquid-argon events are reproducible, that their labels agree with each other, and where they go."""

import multiprocessing

import h5py
import numpy as np
import pytest

from tpcfm.errors import ConfigError, DataError
from tpcfm.simulate.lartpc import LartpcEvent, Settings, Simulator, simulate_file
from tpcfm.simulate.lartpc import event as event_module
from tpcfm.simulate.lartpc.apparatus import EDGE, LOW_ENERGY
from tpcfm.simulate.lartpc.write import file_name, sidecar_path, write_pilarnet

SEED = 11


@pytest.fixture(scope="module")
def events() -> list[LartpcEvent]:
    simulator = Simulator()
    return [simulator.event(SEED, 0, k) for k in range(60)]


def same(a: LartpcEvent, b: LartpcEvent) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)


def _one(key: tuple[int, int, int]) -> LartpcEvent:
    return Simulator().event(*key)


def test_an_event_depends_on_its_key_alone(events: list[LartpcEvent]) -> None:
    fresh = Simulator()
    assert same(fresh.event(SEED, 0, 7), events[7])
    for key in ((SEED + 1, 0, 7), (SEED, 1, 7), (SEED, 0, 8)):
        assert not same(fresh.event(*key), events[7])


@pytest.mark.slow
def test_another_process_makes_the_same_events(events: list[LartpcEvent]) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.map(_one, [(SEED, 0, k) for k in range(4)])
    assert all(same(a, b) for a, b in zip(made, events))


def test_a_full_table_is_enlarged_and_changes_nothing(
    events: list[LartpcEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = event_module.make_work
    small = Simulator()
    small._log2, small._work = 10, real(10)
    monkeypatch.setattr(event_module, "make_work", lambda log2: made.append(log2) or real(log2))
    largest = int(np.argmax([e.energy.size for e in events]))
    assert same(small.event(SEED, 0, largest), events[largest])
    assert made == list(range(11, 11 + len(made)))
    assert made


def test_an_impossible_event_names_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_module, "_LARGEST_TABLE", 10)
    small = Simulator(Settings(vertices_min=3, vertices_max=3, particles_min=5))
    small._log2, small._work = 10, event_module.make_work(10)
    with pytest.raises(DataError, match=r"seed 5, index 2, event 9"):
        small.event(5, 2, 9)


def test_voxels_are_inside_unique_and_hold_energy(events: list[LartpcEvent]) -> None:
    for event in events:
        assert event.voxel.min(initial=0) >= 0
        assert event.voxel.max(initial=0) < EDGE
        assert np.unique(event.voxel, axis=0).shape[0] == event.voxel.shape[0]
        assert np.isfinite(event.energy).all()
        assert (event.energy > Settings().threshold).all()
        assert (event.path > 0).all()
        assert (event.time >= 0).all()


def test_clusters_are_consistent(events: list[LartpcEvent]) -> None:
    for event in events:
        assert event.size.sum() == event.energy.size
        low = [event.fragment[0], event.group[0], event.interaction[0], event.semantic[0], event.pid[0]]
        assert low == [-1, -1, -1, LOW_ENERGY, -1]
        assert (event.size[1:] > 0).all()
        assert np.array_equal(event.fragment[1:], np.arange(event.fragment.size - 1))
        assert np.isin(event.semantic[1:], (0, 1, 2, 3)).all()
        assert np.isin(event.pid[1:], (0, 1, 2, 3, 4)).all()
        for column in (event.mass, event.momentum, event.primary, event.vertex[:, 0]):
            assert column[0] == -1
        assert (event.momentum[1:] > 0).all()
        assert np.linalg.norm(event.momentum_vector[1:], axis=1) == pytest.approx(event.momentum[1:], rel=1e-5)


def test_groups_and_interactions_nest(events: list[LartpcEvent]) -> None:
    for event in events:
        for group in np.unique(event.group[1:]):
            rows = np.flatnonzero(event.group == group)
            assert group in event.fragment[rows]  # a group is named after one of its fragments
            assert np.unique(event.interaction[rows]).size == 1
            assert np.unique(event.pid[rows]).size == 1
            assert np.unique(event.vertex[rows], axis=0).shape[0] == 1
        ids = np.unique(event.interaction[1:])
        assert np.array_equal(ids, np.arange(ids.size))


def test_semantic_class_fits_the_particle(events: list[LartpcEvent]) -> None:
    allowed = {0: {0, 1}, 1: {2, 3, 4}, 2: {1}, 3: {1}}
    seen = set()
    for event in events:
        for semantic, pid in zip(event.semantic[1:].tolist(), event.pid[1:].tolist()):
            assert pid in allowed[semantic]
            seen.add(semantic)
    assert seen == {0, 1, 2, 3}


def test_low_energy_deposits_are_blips(events: list[LartpcEvent]) -> None:
    energy = np.concatenate([e.energy[: e.size[0]] for e in events])
    assert np.median(energy) < 0.2


def test_no_particles_make_an_empty_event() -> None:
    settings = Settings(vertices_min=0, vertices_max=0, singles_min=0, singles_max=0)
    event = Simulator(settings).event(0, 0, 0)
    assert event.energy.size == 0
    assert event.size.tolist() == [0]


@pytest.mark.parametrize(("revision", "columns", "extra"), [("v1", 5, None), ("v2", 6, 5), ("v3", 6, 6)])
def test_file_layout(tmp_path, events, revision, columns, extra) -> None:
    path = tmp_path / file_name(5, revision)
    assert path.name == f"generic_v2_5_{revision}.h5"
    simulate_file(path, 5, SEED, revision=revision)
    with h5py.File(path, "r", libver="latest", swmr=True) as file:
        assert set(file) == {"point", "cluster"} | ({"cluster_extra"} if extra else set())
        assert h5py.check_vlen_dtype(file["point"].dtype) == np.float32
        assert h5py.check_vlen_dtype(file["cluster"].dtype) == np.int32
        assert file["point"].shape == (5,)
        counts = []
        for k in range(5):
            point = file["point"][k].reshape(-1, 8)
            cluster = file["cluster"][k].reshape(-1, columns)
            assert cluster[:, 0].sum() == len(point)
            assert cluster[0, 1:5].tolist() == [-1, -1, -1, LOW_ENERGY]
            assert np.array_equal(point[:, :3], events[k].voxel)
            assert np.array_equal(point[:, 3], events[k].energy)
            if extra:
                rows = file["cluster_extra"][k].reshape(-1, extra)
                assert rows.shape[0] == cluster.shape[0]
                assert (rows[0] == -1).all()
                assert np.array_equal(rows[:, 1], events[k].momentum)
            counts.append(len(point))
    assert np.load(sidecar_path(path)).tolist() == counts


def test_same_seed_same_bytes(tmp_path) -> None:
    for name in ("a.h5", "b.h5"):
        simulate_file(tmp_path / name, 3, 5)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_bad_arguments_are_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match="events = 0"):
        simulate_file(tmp_path / "a.h5", 0, 1)
    with pytest.raises(ConfigError, match="index = -1"):
        simulate_file(tmp_path / "a.h5", 1, 1, index=-1)
    with pytest.raises(ConfigError, match=r"'v9'.*v1, v2, v3"):
        simulate_file(tmp_path / "a.h5", 1, 1, revision="v9")
    with pytest.raises(ConfigError, match=r"a\.txt"):
        simulate_file(tmp_path / "a.txt", 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_no_file(tmp_path, events) -> None:
    for count in (2, 4):
        with pytest.raises(DataError, match=rf"{count}( events)? announced"):
            write_pilarnet(tmp_path / "a.h5", events[:3], count)
    assert list(tmp_path.iterdir()) == []
