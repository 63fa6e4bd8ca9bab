"""Guarantees that ``tpcfm simulate lartpc`` writes the file it names, and says what is wrong in one line."""

import subprocess
import sys
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


def test_a_file_that_the_system_does_not_take_whole_is_named_in_one_line(tmp_path: Path) -> None:
    """HDF5 writes the end of a file when it is closed, and fails then with an error of its own."""
    for kib in (8, 300, 1160):
        command = (
            f"trap '' XFSZ; ulimit -f {kib}; exec {sys.executable} -m tpcfm simulate lartpc --events 40 --out events.h5"
        )
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode != 0  # the HDF5 library may fall over what it could not write, at the very end
        assert "Traceback" not in done.stderr
        assert "events.h5: writing failed: File too large" in done.stderr
        assert not [path for path in tmp_path.iterdir() if "events" in path.name]
