"""The floor as a system of its own: on the events of any detector, beside no network."""

from typing import Literal

from tpcfm.config.system import SystemBlock
from tpcfm.plan.planner import Planner
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.systems.classical.plan import plan_classical
from tpcfm.systems.classical.settings import ClassicalStudy


class ClassicalSystem(ClassicalStudy, SystemBlock):
    """Trees for labels with classes, a perceptron on pairs and DBSCAN for labels with instances."""

    family: Literal["classical"]


def plan_classical_system(planner: Planner, key: str, system: ClassicalSystem) -> None:
    """Add everything of one classical system to the plan; its events are sequences without targets."""
    dataset = planner.dataset(system.dataset)
    targets = TargetConfig(objective="next_token")
    cache = planner.sequences_cache(dataset, SerializationConfig(), targets, dataset)
    plan_classical(planner, key, f"systems.{key}", system, system.dataset, {"dataset": dataset, "cache": cache})
