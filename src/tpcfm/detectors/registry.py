"""Finding a detector: built in, registered by a plugin (entry points ``tpcfm.detectors``), or a YAML file of one's own."""

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tpcfm.config.text import explain, read_yaml
from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError

GROUP = "tpcfm.detectors"
"""Entry points: the name of a detector, and an object that is its mapping or the path of its YAML file."""
ENDINGS = (".yaml", ".yml")


def built_in() -> list[str]:
    """Names of the detectors that come with the package."""
    return sorted(Path(entry.name).stem for entry in files(__package__).iterdir() if entry.name.endswith(ENDINGS))


def plugins() -> dict[str, EntryPoint]:
    """Detectors that installed packages register, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def is_file_name(name: str) -> bool:
    """Whether a name in a configuration is meant as the path of a YAML file."""
    return name.endswith(ENDINGS)


def load_detector(name: str) -> Detector:
    """Return the detector of a name (built in or of a plugin) or of a YAML file.

    Raises:
        ConfigError: no such detector or file, or what is wrong in it.
    """
    if is_file_name(name):
        path = Path(name).expanduser()
        return check_detector(read_yaml(path), str(path))
    return _named(name)


@lru_cache
def _named(name: str) -> Detector:
    if name in built_in():
        entry = files(__package__) / f"{name}.yaml"
        return check_detector(read_yaml(str(entry)), f"detector {name}")
    registered = plugins()
    if name in registered:
        try:
            found = registered[name].load()
        except Exception as error:  # a plugin may raise anything
            raise ConfigError(
                f"detector {name!r}: the plugin {registered[name].value} cannot be loaded: {error}"
            ) from error
        values = read_yaml(found) if isinstance(found, str | Path) else found
        return check_detector(values, f"detector {name} ({registered[name].value})")
    known = ", ".join([*built_in(), *sorted(registered)])
    raise ConfigError(
        f"detector {name!r}: unknown; there are {known}, and YAML files (a name that ends in .yaml);"
        " `tpcfm detector init FILE` drafts one"
    )


def check_detector(values: Any, source: str) -> Detector:
    """Check plain values.

    Raises:
        ConfigError: names every wrong key, the value given and what is allowed.
    """
    try:
        return Detector.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: not a detector:\n{explain(error, Detector)}") from error
