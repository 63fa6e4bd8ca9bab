"""Imported weights that a configuration starts from: do they lie where the workflow looks for them?"""

from collections.abc import Mapping
from pathlib import Path

from tpcfm.config.workflow import WorkflowConfig
from tpcfm.errors import DataError
from tpcfm.files import read_json
from tpcfm.workspace import Workspace

FILES = ("config.json", "model.safetensors")


def import_problems(
    config: WorkflowConfig, commands: Mapping[str, str], architectures: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Return what is wrong with the imported weights that a configuration names, each with what to do; [] if nothing is.

    Args:
        config: the configuration.
        commands: of each family, the verb that imports, with its arguments but the folder.
        architectures: of each family, what a model directory may hold.
    """
    said = []
    for key, system in config.systems.items():
        for name in system.imported:
            folder = Workspace(Path(config.results)).run(name)
            if found := _problem(folder, architectures[system.family]):
                where = f"systems.{key}.imported"
                said.append(
                    f"{where}: {name!r}: {found}. Make it with `tpcfm {commands[system.family]} {folder}`,"
                    f" or take {name!r} out of {where}"
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
