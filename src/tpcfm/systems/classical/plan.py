"""Runs of the floor, on the same events, label subsets and seeds as the heads that they stand beside."""

from collections.abc import Mapping
from typing import Any

from tpcfm.plan.planner import Planner
from tpcfm.systems.classical.settings import ClassicalStudy, FinderConfig, TreesConfig


def plan_classical(
    planner: Planner, key: str, where: str, study: ClassicalStudy, on: str, events: Mapping[str, Any]
) -> None:
    """Add the classical methods to the plan.

    Args:
        key: system they stand beside.
        where: place of the study in the configuration, for errors.
        on: dataset of the configuration.
        events: fields ``dataset`` and ``cache`` of the runs.
    """
    common = {"validation_events": study.validation_events}
    for label, subsets in study.tasks.items():
        classes = planner.outputs(f"{where}.tasks", on, label)[label]
        for model in ["trees"] if classes else study.finders:
            learns = model != "dbscan"  # one run for all label counts
            for n_labels in subsets.labels if learns else [0]:
                for seed in subsets.seeds if learns else [0]:
                    named = {**common, "label": label, "n_labels": n_labels, "seed": seed}
                    if classes:
                        block: Any = TreesConfig.model_validate(
                            {**named, "classes": classes, **study.trees.model_dump()}
                        )
                    else:
                        how = getattr(study, model).model_dump()
                        named |= {
                            model: how,
                            "tuning_events": study.tuning_events,
                            "train": study.edges.train.model_dump(),
                        }
                        block = FinderConfig.model_validate(named)
                    run = planner.run(
                        system=key,
                        block=block,
                        slug=f"{label}-{model}" + (f"-{n_labels}-s{seed}" if learns else ""),
                        stage="baseline",
                        recipe="classical.classify_points" if classes else "classical.find_instances",
                        task=label,
                        n_labels=n_labels,
                        seed=seed,
                        **events,
                    )
                    planner.study(key, f"baselines_{label}", "baselines", run, "model", model)
