"""Guarantees simulated files: reproducible by seed and index alone, published names, types and stems, clear errors."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tpcfm.errors import ConfigError, DataError, MachineError
from tpcfm.simulate.collider import files, simulate_file
from tpcfm.simulate.collider.write import STEMS, write_pack

STEMS_OF_LABELS = ["noise_tags", "pid_labels", "spacepoints", "track_ids"]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_file_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    simulate_file(tmp_path / "a", 3, 12, 5, "gun", True, True)
    simulate_file(tmp_path / "other", 0, 7, 5, "gun", True, True)
    simulate_file(tmp_path / "b", 3, 12, 5, "gun", True, True)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    simulate_file(tmp_path / "seed", 3, 12, 6, "gun", True, True)
    simulate_file(tmp_path / "index", 4, 12, 5, "gun", True, True)
    first = np.load(tmp_path / "a" / "spacepoints_003.npz")["data"]
    for other in (tmp_path / "seed" / "spacepoints_003.npz", tmp_path / "index" / "spacepoints_004.npz"):
        data = np.load(other)["data"]
        n = min(len(data), len(first))
        assert not np.array_equal(data[:n], first[:n])


def test_fewer_events_are_the_beginning_of_more_events(tmp_path: Path) -> None:
    simulate_file(tmp_path / "long", 0, 9, 1, "gun", False, False)
    simulate_file(tmp_path / "short", 0, 4, 1, "gun", False, False)
    long, short = (np.load(tmp_path / name / "spacepoints_000.npz") for name in ("long", "short"))
    assert np.array_equal(long["size"][:4], short["size"])
    assert np.array_equal(long["data"][: len(short["data"])], short["data"])


def test_stems_have_the_published_names_types_and_one_size(tmp_path: Path) -> None:
    simulate_file(tmp_path, 7, 10, 2, "gun", True, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{s}_007.npz" for s in [*STEMS_OF_LABELS, "particles"]
    )
    packs = {stem: np.load(tmp_path / f"{stem}_007.npz") for stem in [*STEMS_OF_LABELS, "particles"]}
    for stem, pack in packs.items():
        assert sorted(pack.files) == ["data", "size"]
        dtype, columns = STEMS[stem]
        assert pack["data"].dtype == dtype
        assert pack["data"].shape == ((pack["size"].sum(), columns) if columns else (pack["size"].sum(),))
        assert pack["size"].dtype == np.int64
        assert pack["size"].shape == (10,)
        if stem != "particles":
            assert np.array_equal(pack["size"], packs["spacepoints"]["size"])
    tracks = packs["track_ids"]["data"].astype(int)
    ends = np.cumsum(packs["track_ids"]["size"])
    for begin, end, many in zip(ends - packs["track_ids"]["size"], ends, packs["particles"]["size"]):
        assert tracks[begin:end].max() + 1 == many


def test_unlabelled_files_hold_the_same_points_and_nothing_else(tmp_path: Path) -> None:
    simulate_file(tmp_path / "with", 0, 5, 2, "gun", True, False)
    simulate_file(tmp_path / "without", 0, 5, 2, "gun", False, False)
    assert [path.name for path in (tmp_path / "without").iterdir()] == ["spacepoints_000.npz"]
    assert _bytes(tmp_path / "without").items() <= _bytes(tmp_path / "with").items()
    assert sorted(_bytes(tmp_path / "with")) == [f"{stem}_000.npz" for stem in STEMS_OF_LABELS]


@pytest.mark.parametrize(("events", "index", "source"), [(0, 0, "gun"), (5, -1, "gun"), (5, 0, "geant")])
def test_values_out_of_range_are_named(tmp_path: Path, events: int, index: int, source: str) -> None:
    with pytest.raises(ConfigError, match=r"events = 0|index = -1|'geant'"):
        simulate_file(tmp_path / "out", index, events, 1, source, True, True)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_without_pythia_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    files._source.cache_clear()
    with pytest.raises(MachineError, match="pythia8mc"):
        simulate_file(tmp_path / "out", 0, 5, 1, "pythia", True, True)
    assert not (tmp_path / "out").exists()


def test_the_writer_refuses_other_types_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "track_ids_000.npz"
    with pytest.raises(DataError, match=r"event 1 of track_ids is int64.*expected uint16"):
        write_pack(path, "track_ids", [np.zeros(3, np.uint16), np.zeros(3, np.int64)])
    with pytest.raises(DataError, match=r"shape \(3, 3\)"):
        write_pack(path, "spacepoints", [np.zeros((3, 3), np.float32)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_pythia_files_are_reproducible_after_other_files(tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc", reason="Pythia 8 is not installed")
    files._source.cache_clear()
    simulate_file(tmp_path / "a", 1, 20, 5, "pythia", True, True)
    simulate_file(tmp_path / "between", 0, 9, 8, "pythia", True, True)
    simulate_file(tmp_path / "b", 1, 20, 5, "pythia", True, True)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
