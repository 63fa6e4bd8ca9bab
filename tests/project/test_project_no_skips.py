"""The option ``--no-skips`` of the tests: whatever keeps a test from running makes the session fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
GOOD = "@pytest.mark.cluster\ndef test_good(): pass\n"
SKIPPING = [
    "@pytest.mark.skip\ndef test_a(): pass\n",
    "@pytest.mark.skipif(True, reason='none here')\ndef test_a(): pass\n",
    "def test_a(): pytest.skip('none here')\n",
    "@pytest.fixture\ndef f(): pytest.skip('none here')\ndef test_a(f): pass\n",
    "@pytest.mark.xfail\ndef test_a(): assert False\n",
    "@pytest.mark.parametrize('x', [])\ndef test_a(x): pass\n",
    "pytest.importorskip('no_such_module')\n",
    "pytest.skip('none here', allow_module_level=True)\n",
    "@pytest.fixture\ndef f():\n    yield\n    pytest.skip('late')\ndef test_a(f): pass\n",
]


def session(folder: Path, bodies: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest over one file per body."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = cluster: x\naddopts = -ra\n")
    for number, body in enumerate(bodies):
        (folder / f"test_{number}.py").write_text(f"import pytest\n{body}")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(folder)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_passing_tests_pass(tmp_path: Path) -> None:
    done = session(tmp_path, [GOOD + "def test_other(): pass\n"], "--no-skips", "-m", "cluster")
    assert done.returncode == 0, done.stdout


def test_whatever_skips_fails(tmp_path: Path) -> None:
    done = session(tmp_path, [GOOD, *SKIPPING])
    assert done.returncode == 0, f"fine without the option: {done.stdout}"
    done = session(tmp_path, [GOOD, *SKIPPING], "--no-skips", "--continue-on-collection-errors")
    assert done.returncode != 0
    failed = done.stdout.split("short test summary info")[1]
    assert [n for n in range(1, len(SKIPPING) + 1) if f"test_{n}.py" not in failed] == []
    assert "test_0.py" not in failed
    assert done.stdout.count("against --no-skips") >= len(SKIPPING)


@pytest.mark.parametrize(
    ("body", "arguments", "words"),
    [
        ("def test_a(): pass\n", ["-k", "good"], "did not pass: test_0.py::test_a"),
        ("def test_a(): pass\n", ["--deselect", "test_0.py::test_a"], "did not pass: test_0.py::test_a"),
        ("def test_b(): pytest.exit('away', returncode=0)\n", [], "did not pass: test_0.py::test_b"),
    ],
)
def test_leaving_out_by_name_and_stopping_early_fail(
    tmp_path: Path, body: str, arguments: list[str], words: str
) -> None:
    done = session(tmp_path, [GOOD + body], "--no-skips", *arguments)
    assert done.returncode != 0
    assert words in done.stdout


def test_having_nothing_to_run_fails(tmp_path: Path) -> None:
    assert session(tmp_path, ["def test_a(): pass\n"], "--no-skips", "-m", "cluster").returncode != 0
