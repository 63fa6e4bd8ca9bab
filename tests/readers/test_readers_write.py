"""Labels written in the layout of a raw file come back point by point through its reader, in every format."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from columnfiles import LISTS, ROWS, SIZES, detector_for, hits, write_hits
from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.readers.registry import open_raw
from tpcfm.readers.write.labels import LabelStream
from tpcfm.readers.write.registry import label_files, write_labels


def read(path: Path, detector: Detector) -> dict[str, list[np.ndarray]]:
    """The events of a file: per column a list of arrays."""
    found: dict[str, list[np.ndarray]] = {}
    with open_raw(path, detector) as reader:
        for block in reader.blocks():
            assert not block.deviations
            for name, column in block.columns.items():
                if column is not None:
                    pieces = np.split(column.values, column.offsets[1:-1])
                    found[name] = found.get(name, []) + pieces
    return found


def stream(events: list[dict[str, np.ndarray]], detector: Detector, path: Path) -> LabelStream:
    kinds = {name: detector.labels[name].type for name in events[0]}
    return LabelStream(iter(events), kinds, path)


def drawn(sizes: list[int]) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    return [{"track": rng.integers(1, 30, n), "pid": rng.integers(0, 3, n)} for n in sizes]


@pytest.mark.parametrize(
    ("name", "shuffled"), [*((name, False) for name in (*ROWS, *LISTS, *SIZES)), *((name, True) for name in ROWS)]
)
def test_labels_replace_those_of_the_file(tmp_path: Path, name: str, shuffled: bool) -> None:
    if name.endswith(".root"):
        pytest.importorskip("uproot")
    table = hits()
    if shuffled:
        table = table.sample(frac=1, random_state=3).reset_index(drop=True)
    path = write_hits(tmp_path / "raw", name, table)
    plain: dict[str, Any] = detector_for(name)
    plain["read"].pop("values")  # written are the values of the event table
    detector = Detector.model_validate(plain)
    coded = Detector.model_validate(
        {**plain, "read": {**plain["read"], "values": {"pid": {211: 1, -211: 1, 11: 2, "other": 0}}}}
    )
    before = read(path, coded)
    labels = drawn([len(x) for x in before["x"]])
    write_labels(path, coded, stream(labels, coded, path), tmp_path / "out")
    (out,) = label_files(path, coded, ["track", "pid"], tmp_path / "out")
    after = read(out, detector)
    for column in ("x", "y", "z", "charge"):
        for found, known in zip(after[column], before[column], strict=True):
            np.testing.assert_array_equal(found, known)
    for column in ("track", "pid"):
        for found, event in zip(after[column], labels, strict=True):
            np.testing.assert_array_equal(found, event[column])
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [name]


def test_fields_that_no_label_replaces_keep_their_text(tmp_path: Path) -> None:
    (tmp_path / "hits.csv").write_text('event_id;hit_x;hit_y;hit_z;adc;note\n1;900;0;1.50;3;"a;b"\n1;0;901.0;2;4;c\n')
    detector = Detector.model_validate(detector_for("rows.csv", values={}))
    labels = stream([{"track": np.array([3, 4]), "pid": np.array([1, 2])}], detector, tmp_path)
    write_labels(tmp_path / "hits.csv", detector, labels, tmp_path / "out")
    assert (tmp_path / "out" / "hits.csv").read_text() == (
        'event_id;hit_x;hit_y;hit_z;adc;note;particle_id;pdg\n1;900;0;1.50;3;"a;b";3;1\n1;0;901.0;2;4;c;4;2\n'
    )


def test_voxel_files_hold_a_row_of_labels_per_event(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    events = [lartpc_event(rng, points=50 + 10 * i) for i in range(4)]
    path, detector = write_pilarnet(tmp_path / "raw" / "a.h5", events), load_detector("pilarnet")
    labels = [
        {"semantic": rng.integers(-1, 4, len(e["point"])), "group": rng.integers(-1, 9, len(e["point"]))}
        for e in events
    ]
    write_labels(path, detector, stream(labels, detector, path), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "a.h5") as file:
        assert set(file) == {"point", "semantic", "group"}
        for i, event in enumerate(events):
            np.testing.assert_array_equal(file["point"][i].reshape(-1, 8), event["point"])
            for name in ("semantic", "group"):
                np.testing.assert_array_equal(file[name][i], labels[i][name])
    assert len(read(tmp_path / "out" / "a.h5", detector)["x"]) == 4  # points as an unlabelled file of the layout


def test_packs_are_read_as_the_labels_of_their_spacepoints(tmp_path: Path) -> None:
    rng, detector = np.random.default_rng(1), load_detector("sphenix")
    path = write_tpcpp(tmp_path / "raw", collider_shard(rng), "_007")
    sizes = [len(x) for x in read(path, detector)["x"]]
    labels = [{"track": (t := rng.integers(1, 9, n)), "pid": t % 5, "noise": t % 2} for n in sizes]
    write_labels(path, detector, stream(labels, detector, path), tmp_path / "out")
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "noise_tags_007.npz", "pid_labels_007.npz", "track_ids_007.npz"
    ]  # fmt: skip
    (tmp_path / "out" / path.name).write_bytes(path.read_bytes())
    after = read(tmp_path / "out" / path.name, detector)
    for name in ("track", "pid", "noise"):
        for found, event in zip(after[name], labels, strict=True):
            np.testing.assert_array_equal(found, event[name])


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.h5"])
def test_labels_of_other_points_are_refused_and_leave_nothing(tmp_path: Path, name: str, change: int) -> None:
    path, detector = write_hits(tmp_path, name, hits()), Detector.model_validate(detector_for(name))
    sizes = [len(x) for x in read(path, detector)["x"]]
    sizes[-1] += change
    with pytest.raises(DataError, match=r"the labels are of .*(fewer|more)"):
        write_labels(path, detector, stream(drawn(sizes), detector, path), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_reader_without_a_writer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tpcfm.readers.write import registry

    monkeypatch.setattr(registry, "reader_of", lambda name: object)
    detector = load_detector("sphenix").model_copy(
        update={"read": Detector.model_validate(detector_for("rows.csv")).read}
    )
    detector = detector.model_copy(update={"read": detector.read.model_copy(update={"reader": "mine"})})
    with pytest.raises(ConfigError, match="files of the reader 'mine' cannot be written"):
        label_files(tmp_path / "a", detector, [], tmp_path)


def test_a_table_written_by_pandas_keeps_its_other_columns(tmp_path: Path) -> None:
    table = hits().assign(weight=np.float32(0.5), name="a")
    path, detector = write_hits(tmp_path, "rows.parquet", table), Detector.model_validate(detector_for("rows.parquet"))
    sizes = [len(x) for x in read(path, detector)["x"]]
    write_labels(path, detector, stream(drawn(sizes), detector, path), tmp_path / "out")
    after = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert list(after) == list(table)
    pd.testing.assert_frame_equal(
        after.drop(columns=["particle_id", "pdg"]), table.drop(columns=["particle_id", "pdg"])
    )
