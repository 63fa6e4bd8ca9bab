"""Imported weights that a configuration starts from: do they lie where the workflow looks for them?"""

from pathlib import Path

from tpcfm.config.workflow import WorkflowConfig
from tpcfm.errors import DataError
from tpcfm.files import read_json
from tpcfm.workspace import Workspace

FILES = ("config.json", "model.safetensors")
ARCHITECTURES = {"polar_mae": ("polar_mae", "point_mae"), "fm4npp": ("fm4npp",)}
COMMANDS = {"polar_mae": "import-polar-mae CHECKPOINT", "fm4npp": "import-fm4npp CHECKPOINT EDGES"}


def import_problems(config: WorkflowConfig) -> list[str]:
    """Return what is wrong with the imported weights that a configuration names, each with what to do; [] if nothing is."""
    said = []
    for system in config.systems:
        block = getattr(config, system)
        for name in block.imported if block else []:
            folder = Workspace(Path(config.results)).run(name)
            if found := _problem(folder, ARCHITECTURES[system]):
                said.append(
                    f"{system}.imported: {name!r}: {found}. Make it with `tpcfm {COMMANDS[system]} {folder}`,"
                    f" or take {name!r} out of {system}.imported"
                )
    return said


def _problem(folder: Path, architectures: tuple[str, ...]) -> str:
    missing = [str(folder / name) for name in FILES if not (folder / name).is_file()]
    if missing:
        return f"there is no {' and no '.join(missing)}"
    try:
        found = read_json(folder / FILES[0]).get("architecture")
    except (DataError, AttributeError):
        return f"{folder / FILES[0]} cannot be read"
    if found not in architectures:
        return f"{folder} holds a model of architecture {found!r}; needed is {' or '.join(architectures)}"
    return ""
