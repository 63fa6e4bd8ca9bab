"""The families there are, in one table; the configuration over all of them, and its run table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from tpcfm.config.base import NullTakesOut
from tpcfm.config.system import Key, SystemBlock
from tpcfm.config.text import explain, merge, read_yaml
from tpcfm.config.workflow import WorkflowConfig
from tpcfm.errors import ConfigError
from tpcfm.plan.imported import import_problems
from tpcfm.plan.planner import Planner
from tpcfm.plan.table import Plan
from tpcfm.plan.work import Estimator
from tpcfm.systems.baselines import cost as baselines_cost
from tpcfm.systems.classical import cost as classical_cost
from tpcfm.systems.classical.system import ClassicalSystem, plan_classical_system
from tpcfm.systems.fm4npp import cost as fm4npp_cost
from tpcfm.systems.fm4npp.choice import fm4npp_pictures
from tpcfm.systems.fm4npp.plan import plan_fm4npp
from tpcfm.systems.fm4npp.system import Fm4nppSystem
from tpcfm.systems.old_keys import refuse_old_keys
from tpcfm.systems.polar_mae import cost as polar_mae_cost
from tpcfm.systems.polar_mae.choice import polar_mae_pictures
from tpcfm.systems.polar_mae.plan import plan_polar_mae
from tpcfm.systems.polar_mae.system import PolarMaeSystem


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        title: as people write it.
        plan: adds the runs of one of its systems to a plan.
        pictures: runs and caches behind the pictures of one of its systems; None without any.
        import_command: what makes a model directory of published weights.
        architectures: kinds of model directories that a system can start from.
        published_hours: what its pretrainings took their authors, in words.
    """

    title: str
    plan: Callable[[Planner, str, Any], None]
    pictures: Callable[[Plan, str], Any]
    import_command: str
    architectures: tuple[str, ...]
    published_hours: str = ""


SYSTEMS = {
    "polar_mae": Family(
        "PoLAr-MAE", plan_polar_mae, polar_mae_pictures, "import-polar-mae CHECKPOINT", ("polar_mae", "point_mae")
    ),
    "fm4npp": Family(
        "FM4NPP",
        plan_fm4npp,
        fm4npp_pictures,
        "import-fm4npp CHECKPOINT EDGES",
        ("fm4npp",),
        fm4npp_cost.PUBLISHED_HOURS,
    ),
    "classical": Family("Classical", plan_classical_system, lambda plan, key: None, "", ()),
}
ESTIMATES: dict[str, Estimator] = {
    **polar_mae_cost.ESTIMATES,
    **fm4npp_cost.ESTIMATES,
    **baselines_cost.ESTIMATES,
    **classical_cost.ESTIMATES,
}
"""What a run takes, by recipe."""
PARAMETER_TABLES = {name: f"tpcfm.models.{name}.parameters" for name in ("polar_mae", "fm4npp", "baselines")}
"""Modules whose ``parameter_table`` counts the networks of a family, and of the baselines."""
AnySystem = Annotated[PolarMaeSystem | Fm4nppSystem | ClassicalSystem, Field(discriminator="family")]


class Configuration(WorkflowConfig):
    """``config.yaml`` with the settings of every family."""

    systems: Annotated[dict[Key, AnySystem], NullTakesOut] = Field(min_length=1)  # type: ignore[assignment]


def validate(values: Mapping[str, Any]) -> Configuration:
    """Check a merged configuration.

    Raises:
        ConfigError: names every wrong key, the value given and what is allowed; keys of the first edition with their new spelling.
    """
    refuse_old_keys(values)
    try:
        return Configuration.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(f"the configuration is not valid:\n{explain(error, Configuration)}") from error


def load(*paths: str | Path) -> Configuration:
    """Read ``config.yaml`` and overlays, the later over the earlier, and check the result."""
    values: dict[str, Any] = {}
    for path in paths:
        values = merge(values, read_yaml(path))
    return validate(values)


def make_plan(config: WorkflowConfig) -> Plan:
    """Turn a checked configuration into the run table.

    Raises:
        ConfigError: a detector, label, file or start that is named does not exist, or settings do not go together.
    """
    planner = Planner(config)
    for key in _in_order(config.systems):
        system = config.systems[key]
        try:
            SYSTEMS[system.family].plan(planner, key, system)
        except ValidationError as error:
            raise ConfigError(f"systems.{key}: settings that do not go together:\n{explain(error)}") from error
    return planner.finish()


def _in_order(systems: Mapping[str, SystemBlock]) -> list[str]:
    """Return the systems, each after the one it starts from."""
    found: list[str] = []
    for key in systems:
        chain = [key]
        while (start := systems[chain[-1]].start) is not None and start not in found:
            if start in chain:
                raise ConfigError(f"systems.{key}.start: {' from '.join([*chain, start])} is a circle")
            chain.append(start)
        found += [name for name in reversed(chain) if name not in found]
    return found


def missing_imports(config: WorkflowConfig) -> list[str]:
    """Return what is wrong with the published weights that a configuration starts from; see `import_problems`."""
    commands = {name: family.import_command for name, family in SYSTEMS.items()}
    return import_problems(config, commands, {name: family.architectures for name, family in SYSTEMS.items()})


def pictures(plan: Plan, system: str) -> Any:
    """Return what the pictures of a system are made from (attributes ``runs`` and ``cache``); None without pictures."""
    return SYSTEMS[plan.family(system)].pictures(plan, system)


def picture_runs(plan: Plan, system: str) -> list[str]:
    """Return the runs that the pictures of a system are made from; empty if there are no pictures."""
    found = pictures(plan, system)
    return found.runs if found else []
