"""``make bench`` can print its table: every benchmark is a module with ``rows``, and the table holds what they return."""

import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "run")


RUN = runpy.run_path(str(FOLDER / "run.py"))


def load(name: str) -> ModuleType:
    module: ModuleType = RUN["load"](FOLDER / f"{name}.py")
    return module


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_has_rows(name: str) -> None:
    assert callable(load(name).rows)


@pytest.mark.parametrize(
    ("name", "smallest"), [("simulate_lartpc", {"EVENTS": 3}), ("peers", {"SIZES": (300,), "WIDE": 300})]
)
def test_rows_carry_what_the_table_prints(name: str, smallest: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(name)
    for key, value in smallest.items():
        monkeypatch.setattr(module, key, value)
    rows = module.rows()
    assert rows
    for row in rows:
        assert {"what", "size", "against", "ratio"} <= set(row)
        assert np.isfinite(row["ratio"])


def test_a_benchmark_that_fails_is_named_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = load("run")
    good = [{"what": "a", "size": "b", "against": "c", "ratio": 2.0}]
    broken = ModuleType("broken")
    working = ModuleType("working")
    working.rows = lambda: good  # type: ignore[attr-defined]
    found = {"peers": broken, "simulate_lartpc": working}
    monkeypatch.setattr(run, "load", lambda path: found[path.stem])
    monkeypatch.setattr(sys, "argv", ["run.py", *found])
    assert run.main() == 1
    said = capsys.readouterr()
    assert "peers: AttributeError" in said.err
    assert "2.00" in said.out
