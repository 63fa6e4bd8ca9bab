"""Importing the package touches nothing of the user's; kernels compile where no cache can be written, and take no stale code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import tpcfm

PACKAGE = Path(tpcfm.__file__).parent


def python(code: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(home), "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"} | more
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


def test_the_import_leaves_an_empty_home_empty(tmp_path: Path) -> None:
    done = python("import sys, tpcfm; print('numba' in sys.modules)", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert done.stdout.strip() == "False"


def test_kernels_run_without_a_writable_home_and_say_so_once(tmp_path: Path) -> None:
    code = (
        "import numba; "
        "from tpcfm.tracking.helix_state import wrap; assert abs(wrap(7.0)) < 3.2; print(numba.config.CACHE_DIR)"
    )
    (tmp_path / "file").write_text("")
    done = python(code, tmp_path / "file", TMPDIR=str(tmp_path))
    assert done.stderr.count("no cache for compiled kernels") == 1
    assert done.stderr.count("\n") == 1
    assert Path(done.stdout.strip()).parent.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # the temporary folder is gone


def test_the_cache_is_named_by_the_sources_below_the_folder_that_is_given(tmp_path: Path) -> None:
    code = "import tpcfm.kernels, os; print(os.environ['NUMBA_CACHE_DIR'])"
    folder = Path(python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "here")).stdout.strip())
    assert folder.parent == tmp_path / "here"
    assert python(code, tmp_path, NUMBA_CACHE_DIR=str(folder)).stdout.strip() == str(folder)  # of a child process
    assert Path(python(code, tmp_path).stdout.strip()) == tmp_path / ".cache" / "tpcfm" / "numba" / folder.name


def test_kernels_are_compiled_through_one_door() -> None:
    others = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if re.search(r"^\s*(import numba|from numba import .*jit)", path.read_text(encoding="utf-8"), re.M)
    ]
    assert others == ["kernels.py"]
