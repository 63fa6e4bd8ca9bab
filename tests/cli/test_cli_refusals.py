"""A call that is refused is refused before anything heavy is loaded, with a message that names what was found and what is needed."""

import json
import re
import subprocess
import sys

import pytest

HEAVY = ("torch", "mlflow", "pandas", "matplotlib", "sklearn", "numba", "plotly", "scipy", "pyarrow", "h5py")
"""Not numpy, a tenth of a second: a detector file is read with it."""

INGEST = ["--detector", "pilarnet", "--dataset", "d", "--out", "o.parquet", "--rejected", "r.parquet"]
REFUSED = {
    "params --family x": "allowed are polar_mae, fm4npp, baselines, all",
    "show nowhere.h5": "nowhere.h5: no such file",
    "show data": "data: a folder; give one of its 1 files, such as data/a.h5",
    "show model": "it holds a model: give an event file, and the model as --run model",
    "show cache": "a prepared cache, which is drawn with --run only",
    "show a.txt": "a.txt: a raw file does not say its detector: give --detector NAME",
    "show data/a.h5 --out a.txt": "allowed: .html (rotatable), .png, .svg, .pdf (still)",
    "show data/a.h5 --picture features": "--picture needs a model",
    "show data/a.h5 --run nowhere": "--run nowhere: no such folder",
    "show data/a.h5 --run model": "architecture 'unknown'; allowed: polar_mae",
    "show data/a.h5 --run model --detector nowhere": "detector 'nowhere': unknown; there are pilarnet, sphenix",
    "show data --run model": "data: a folder; give one of its 1 files",
    "compare": "give metrics tables with --first and --second, or --plan",
    "compare --out a.txt": "the name must end in .parquet, .csv or .md",
    "compare nowhere.parquet --first a=1 --second a=2": "no such table: nowhere.parquet",
    "report --plan nowhere": "nowhere: no such file",
    "report --plan nowhere --out x.png": "--out x.png: allowed is a page, .html",
    "scaling draw --plan nowhere --folder o --out x.png": "--out x.png: allowed is a page, .html",
    "pictures --plan nowhere --system fm4npp --out o": "nowhere: no such file",
    "scaling fit --plan nowhere --out o": "nowhere: no such file",
    "study collect --plan nowhere --experiment finetune --out o": "nowhere: no such file; needed is a plan file",
    "pretrain --plan nowhere --run r": "nowhere: no such file",
    "plan --config nowhere.yaml": "nowhere.yaml: no such file",
    "prepare groups nowhere.parquet --out o.arrow": "nowhere.parquet: no such file; needed is an event table",
    'prepare groups a.txt --out o.arrow --config {"radius":-1}': "radius = -1",
    "prepare sequences a.txt --edges nowhere.json --out o.arrow": "nowhere.json: no such file; needed is the file of box edges",
    "prepare fit-edges data --out o.json": "data: a folder; needed is an event table",
    "tokenizer-study nowhere.parquet --out o": "nowhere.parquet: no such file",
    "serialization-study nowhere.parquet --edges e --out o": "nowhere.parquet: no such file",
    "ingest nowhere.h5 " + " ".join(INGEST): "needed is a raw file of the detector pilarnet",
    "ingest data/a.h5 --validation 2 " + " ".join(INGEST): "allowed are shares from 0 on",
    "simulate collider --events 2 --out o/spacepoints_001.npz": "the file of --index 0 is called spacepoints_000.npz",
    "import-fm4npp nowhere.ckpt e.json out": "nowhere.ckpt: no such file; needed is a published FM4NPP checkpoint",
    "import-fm4npp a.txt nowhere.json out": "nowhere.json: no such file; needed is the file of the box edges",
    "import-polar-mae data out": "data: a folder; needed is a published Lightning checkpoint",
}

CALLS = f"""
import contextlib, io, json, sys
from tpcfm.cli import main as cli
cli._register()
cli._register = lambda: None
found = {{}}
for call in json.load(sys.stdin):
    sys.argv, before = ["tpcfm", *call.split()], set(sys.modules)
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
    found[call] = [code, said.getvalue(), [m for m in {HEAVY!r} if m in sys.modules and m not in before]]
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Code, words and heavy modules of every call, made one after another in one process."""
    folder = tmp_path_factory.mktemp("refused")
    for name in ("data", "model", "cache"):
        (folder / name).mkdir()
    for name in ("data/a.h5", "a.txt", "cache/0.arrow"):
        (folder / name).write_text("text")
    (folder / "model/config.json").write_text('{"architecture": "unknown"}')
    given = json.dumps([*REFUSED, "--help"])
    done = subprocess.run(
        [sys.executable, "-c", CALLS], input=given, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("call", REFUSED)
def test_a_refusal_is_clear_and_loads_nothing_heavy(answers: dict[str, list], call: str) -> None:
    code, said, loaded = answers[call]
    assert code == 2
    assert REFUSED[call] in said
    assert loaded == []


def test_the_collider_calibration_is_one_command(answers: dict[str, list]) -> None:
    assert "calibrate-collider" not in answers["--help"][1]
    from tpcfm.cli.simulate import app

    assert "calibrate-collider" in {command.name for command in app.registered_commands}


def test_doctor_lists_every_package_once() -> None:
    said = subprocess.run([sys.executable, "-m", "tpcfm", "doctor"], capture_output=True, text=True, timeout=120).stdout
    names = [line.split()[0] for line in said.splitlines() if re.match(r" \S", line)]
    assert "numba" in names
    assert sorted(set(names)) == sorted(names)
