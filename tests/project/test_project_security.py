"""No file of a stranger runs code here: nothing unpickles, evaluates or asks a shell; what tries to is refused, and leaves no trace."""

import ast
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from columnfiles import DETECTOR as COLUMNS
from tpcfm.config.text import read_yaml
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import TpcfmError
from tpcfm.systems.fm4npp.released import _read as read_fm4npp
from tpcfm.systems.polar_mae.lightning_file import read_lightning
from tpcfm.train.checkpoint import read as read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted(p for room in ("src", "containers", "tools", "benchmarks") for p in (ROOT / room).rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "marshal.loads",
    "yaml.unsafe_load",
}
FORBIDDEN |= {
    "joblib.load",
    "dill.load",
    "dill.loads",
    "shelve.open",
    "subprocess.getoutput",
    "pandas.read_pickle",
    "pd.read_pickle",
}
HINT = re.compile(
    r"eval|exec|compile\(|system|popen|pickle|marshal|yaml|joblib|dill|shelve|getoutput|shell|torch\.load"
)
LIGHTNING = ROOT / "src/tpcfm/systems/polar_mae/lightning_file.py"
"""The one place that looks into a pickle, with an unpickler that builds tensors and nothing else."""


def calls(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every call of a file: the name, and the keywords that are constants."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: getattr(k.value, "value", ...) for k in node.keywords if k.arg}


def test_nothing_unpickles_evaluates_or_asks_a_shell() -> None:
    found = []
    for path in (path for path in CODE if HINT.search(path.read_text())):
        for name, keywords in calls(path):
            bad = name in FORBIDDEN or keywords.get("shell") is True or keywords.get("allow_pickle") is True
            bad |= name.endswith("yaml.load") and "_Loader" not in path.read_text()
            bad |= name == "torch.load" and keywords.get("weights_only") is not True and path != LIGHTNING
            bad |= "pickle" in name.lower() and path != LIGHTNING
            if bad:
                found.append(f"{path.relative_to(ROOT)}: {name}({keywords})")
    assert found == []


def test_commands_of_the_workflow_quote_what_comes_from_users() -> None:
    # Of the configuration come files, folders and settings; all else in a command is a name that the plan has made.
    free = {"wildcards", "threads", "input", "output", "log", "resources", "params"}
    for path in RULES:
        for line in path.read_text().splitlines():
            if '"tpcfm ' in line or line.strip().startswith('+ "'):
                for part in line.split("{")[1:]:
                    field = part.split("}")[0]
                    if field.split(".")[0] in {"input", "output", "log"}:
                        assert field.endswith(":q"), f"{path.name}: {line.strip()}"
                    assert field.split(":")[0].split(".")[0] in free, f"{path.name}: {line.strip()}"


class Attack:
    """Makes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.canary,)


def as_torch(path: Path, attack: Attack) -> None:
    torch.save({"format": 1, "identity": attack, "state_dict": {"a": torch.zeros(1), "b": attack}}, path)


def as_old_torch(path: Path, attack: Attack) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1), "b": attack}}, path, _use_new_zipfile_serialization=False)


def as_bare_pickle(path: Path, attack: Attack) -> None:
    path.write_bytes(pickle.dumps(attack))


def as_zip(path: Path, attack: Attack) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(attack))
        archive.writestr("archive/version", "3\n")


READERS = {
    "checkpoint": read_checkpoint,
    "fm4npp": lambda path: dict(read_fm4npp(path)[0].state_dict()),
    "polar_mae": read_lightning,
}


@pytest.mark.parametrize("write", [as_torch, as_old_torch, as_bare_pickle, as_zip])
@pytest.mark.parametrize("reader", READERS)
def test_weights_that_try_to_run_code(tmp_path: Path, reader: str, write: Callable[[Path, Attack], None]) -> None:
    canary = tmp_path / "canary"
    write(tmp_path / "model.ckpt", Attack(canary))
    said = "model.ckpt"
    try:
        found = READERS[reader](tmp_path / "model.ckpt")
        assert all(isinstance(value, torch.Tensor) for value in found.values())
    except TpcfmError as error:
        said = str(error)
    assert "model.ckpt" in said
    assert not canary.exists()


def test_the_attack_works_where_pickles_are_loaded(tmp_path: Path) -> None:
    as_bare_pickle(tmp_path / "a", Attack(tmp_path / "canary"))
    pickle.loads((tmp_path / "a").read_bytes())
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("detector", ["sphenix", "columns"])
def test_arrays_that_try_to_run_code(tmp_path: Path, detector: str) -> None:
    from tpcfm.events.job import ingest_file

    objects = np.empty(3, dtype=object)
    objects[:] = [Attack(tmp_path / "canary")] * 3
    raw = tmp_path / "spacepoints_000.npz"
    names = ("data", "size", "event_id", "hit_x", "hit_y", "hit_z", "adc", "particle_id", "pdg")
    np.savez(raw, allow_pickle=True, **dict.fromkeys(names, objects))
    named = load_detector("sphenix") if detector == "sphenix" else Detector.model_validate(COLUMNS)
    with pytest.raises(TpcfmError, match=r"spacepoints_000\.npz"):
        ingest_file(raw, named, "d", tmp_path / "o.parquet", tmp_path / "r.parquet", split_rule=lambda _: "test")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.mkdir [CANARY]", "!!python/name:os.system ''", "!!python/object/new:os.mkdir [CANARY]"],
)
def test_yaml_that_tries_to_run_code(tmp_path: Path, tag: str) -> None:
    (tmp_path / "c.yaml").write_text(f"scale: {tag.replace('CANARY', str(tmp_path / 'canary'))}\n")
    with pytest.raises(TpcfmError, match=r"c\.yaml: not valid YAML"):
        read_yaml(tmp_path / "c.yaml")
    assert not (tmp_path / "canary").exists()
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load((tmp_path / "c.yaml").read_text())


def test_names_of_images_and_options_reach_no_shell(tmp_path: Path) -> None:
    """The helpers of the container start a program from a list of words: a stand-in for Apptainer gets them as they are."""
    told, canary = tmp_path / "told", tmp_path / "canary"
    program = tmp_path / "bin/apptainer"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{told}\n')
    program.chmod(0o755)
    picture = tmp_path / f"a; touch {canary.name}; $(touch {canary.name}).sif"
    picture.write_text("")
    word = f"`touch {canary}` && touch {canary}"
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "TPCFM_APPTAINER_ARGS": f"--bind '{word}'",
    }
    command = [sys.executable, str(ROOT / "containers/run.py"), "--image", str(picture), "--", "tpcfm", word]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    words = told.read_text().splitlines()
    assert words[-2:] == ["tpcfm", word]
    assert str(picture) in words
    assert word in words[:-2]
    assert not canary.exists()
    assert shutil.which("apptainer", path=str(program.parent))
