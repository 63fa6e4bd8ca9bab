"""Every verb answers --help without loading anything heavy, and errors a user can mend come without a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

import tpcfm.cli

VERBS = sorted(
    p.stem.replace("_", "-")
    for p in Path(tpcfm.cli.__path__[0]).glob("*.py")
    if p.stem != "main" and not p.stem.startswith("_")
)
HEAVY = ("torch", "numpy", "pandas", "pyarrow", "matplotlib", "plotly", "mlflow", "numba", "scipy", "h5py", "pydantic")


def _tpcfm(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "tpcfm", *arguments], capture_output=True, text=True, timeout=120)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tpcfm', '--help']\n"
        "from tpcfm.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "LOADED []" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = _tpcfm(verb, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_a_mendable_error_has_no_traceback() -> None:
    result = _tpcfm("show", "nowhere.h5")
    assert result.returncode == 2
    assert "nowhere.h5" in result.stderr
    assert "Traceback" not in result.stderr


def test_accelerators_are_chosen_before_the_verb() -> None:
    forbidden = _tpcfm("--backend=-numba", "doctor")
    assert forbidden.returncode == 0, forbidden.stderr
    assert "not used (mamba_scan on cpu" in " ".join(forbidden.stdout.split())
    unknown = _tpcfm("--backend", "fast", "doctor")
    assert unknown.returncode == 2
    assert "allowed: auto, torch, +NAME or -NAME" in unknown.stderr
