"""``tpcfm config check`` finds what would stop the workflow: keys, detectors, files and weights that are not there."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from plans import ROOT


def check(folder: Path, over: dict) -> subprocess.CompletedProcess:
    (folder / "over.yaml").write_text(yaml.safe_dump(over))
    command = [sys.executable, "-m", "tpcfm", "config", "check", str(ROOT / "config.yaml"), "over.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_configuration_that_works_is_summed_up(tmp_path: Path) -> None:
    result = check(tmp_path, {"execution": {"runs": {"nothing-*": {"workers": 2}, "fm4npp-*": {"workers": 3}}}})
    assert result.returncode == 0, result.stderr
    assert "valid: scale demo, 2 datasets, 2 caches, 66 runs" in result.stdout
    assert "note: execution.runs.nothing-*: fits no run" in result.stdout
    assert "fm4npp-*" not in result.stdout


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"systems": {"polar_mae": {"pretrain": {"steps": "many"}}}}, "systems.polar_mae.pretrain.steps"),
        (
            {"data": {"mine": {"detector": "mine.yaml", "files": ["a.csv"]}}},
            "data.mine.detector: mine.yaml: no such file",
        ),
        ({"data": {"mine": {"detector": "broken.yaml", "files": ["a.csv"]}}}, "broken.yaml: not a detector"),
        (
            {"data": {"mine": {"detector": "sphenix", "files": ["my */*.npz"]}}},
            "data.mine.files: 'my */*.npz' matches no file",
        ),
        ({"data": {"mine": {"detector": "sphenix", "files": ["folder"]}}}, "data.mine.files: 'folder' matches no file"),
        ({"systems": {"fm4npp": {"imported": ["Released"]}}}, "systems.fm4npp.imported: 'Released': there is no "),
        ({"results": "$NOWHERE/results"}, "results: the variable $NOWHERE is not set"),
    ],
)
def test_what_is_missing_is_named_with_its_key_also_where_no_system_uses_it(
    tmp_path: Path, over: dict, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.yaml").write_text("name: Broken Detector")
    result = check(tmp_path, over)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert "valid" not in result.stdout
