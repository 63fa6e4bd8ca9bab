"""Guarantees that ``tpcfm simulate lartpc`` writes the file it names, and says what is wrong in one line."""

from pathlib import Path

import h5py
from typer.testing import CliRunner

from tpcfm.cli.simulate import app
from tpcfm.errors import ConfigError

RUN = CliRunner()


def test_a_folder_gets_the_published_name(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["lartpc", "--out", str(tmp_path), "--events", "3", "--seed", "4", "--revision", "v3"])
    assert done.exit_code == 0, done.output
    with h5py.File(tmp_path / "generic_v2_3_v3.h5") as file:
        assert file["cluster_extra"][0].size % 6 == 0
    assert (tmp_path / "generic_v2_3_v3_points.npy").exists()


def test_index_changes_the_events(tmp_path: Path) -> None:
    sizes = []
    for index in ("0", "1"):
        path = tmp_path / f"{index}.h5"
        assert RUN.invoke(app, ["lartpc", "--out", str(path), "--events", "2", "--index", index]).exit_code == 0
        with h5py.File(path) as file:
            sizes.append([row.size for row in file["point"]])
    assert sizes[0] != sizes[1]


def test_mistakes_are_refused(tmp_path: Path) -> None:
    wrong = RUN.invoke(app, ["lartpc", "--out", str(tmp_path / "a.root"), "--events", "1"])
    assert isinstance(wrong.exception, ConfigError)
    assert RUN.invoke(app, ["lartpc", "--out", str(tmp_path), "--events", "0"]).exit_code == 2
    assert RUN.invoke(app, ["lartpc", "--out", str(tmp_path), "--events", "1", "--revision", "v7"]).exit_code == 2
    assert list(tmp_path.iterdir()) == []
