"""Runs of the baselines, on the same events, label subsets and seeds as the heads of the system they stand beside."""

from collections.abc import Mapping
from typing import Any

from tpcfm.config.training import LabelledTraining
from tpcfm.errors import ConfigError
from tpcfm.plan.planner import Planner
from tpcfm.systems.baselines.settings import BaselinesStudy, PointBaselineConfig, PointBaselines
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig, TrackBaselines
from tpcfm.systems.classical.plan import plan_classical
from tpcfm.systems.polar_mae.settings import SparseUNetConfig
from tpcfm.tracking.chamber import chamber_of


def plan_baselines(
    planner: Planner, key: str, study: BaselinesStudy, on: str, validation_events: int, events: dict[str, str]
) -> None:
    """Add the baselines of sequences to the plan.

    Args:
        key: system they stand beside.
        on: dataset of the configuration.
        validation_events: events of the fixed validation set.
        events: fields ``dataset`` and ``cache`` of the runs.
    """
    if study.classical:
        plan_classical(planner, key, f"systems.{key}.baselines.classical", study.classical, on, events)
    if study.classes:
        _classes(planner, key, study.classes, on, validation_events, events)
    if study.instances:
        _instances(planner, key, study.instances, on, validation_events, events)


def _classes(
    planner: Planner, key: str, study: PointBaselines, on: str, validation_events: int, events: dict[str, str]
) -> None:
    for label, labelled in study.tasks.items():
        where = f"systems.{key}.baselines.classes.tasks"
        planner.label(where, on, label, "classes")
        classes = planner.outputs(where, on, label)[label]
        for model in study.only.get(label, study.models):
            for n_labels in labelled.labels:
                for seed in labelled.seeds:
                    train = labelled.budget(n_labels)
                    if model in study.learning_rates:
                        train = train.model_copy(update={"learning_rate": study.learning_rates[model]})
                    block = PointBaselineConfig(
                        model=model,
                        label=label,
                        classes=classes,
                        n_labels=n_labels,
                        graph=None if model == "voxel_unet" else study.graph,
                        voxel=study.voxel if model == "voxel_unet" else None,
                        validation_events=validation_events,
                        train=train.model_dump(),
                        seed=seed,
                    )
                    _add(planner, key, block, model, "baselines.classify_points", events)


def _instances(
    planner: Planner, key: str, study: TrackBaselines, on: str, validation_events: int, events: dict[str, str]
) -> None:
    """Add track finders; the Kalman filter learns nothing, so it is one run for all label counts."""
    for label, training in study.tasks.items():
        planner.label(f"systems.{key}.baselines.instances.tasks", on, label, "instances")
        if "kalman" in study.models:
            _check_chamber(planner, key, on)
        for model in study.models:
            learns = model != "kalman"
            for n_labels in training.labels if learns else [0]:
                for seed in training.seeds if learns else [0]:
                    train = training.budget(n_labels) if n_labels else training.train
                    if model in study.learning_rates:
                        train = train.model_copy(update={"learning_rate": study.learning_rates[model]})
                    block = TrackBaselineConfig.model_validate(
                        {
                            "model": model,
                            "label": label,
                            "n_labels": n_labels,
                            model: getattr(study, model),
                            "validation_events": validation_events,
                            "tuning_events": study.tuning_events,
                            "train": train.model_dump(),
                            "seed": seed,
                        }
                    )
                    _add(planner, key, block, model, "baselines.find_tracks", events)


_VERSIONS = {"eggnet": 2, "exatrkx": 2, "voxel_unet": 2}  # neighbours, filter and voxels as the paper has them


def _add(
    planner: Planner,
    key: str,
    block: PointBaselineConfig | TrackBaselineConfig | SparseUNetConfig,
    model: str,
    recipe: str,
    events: Mapping[str, Any],
) -> None:
    """Add the run of one baseline, and its place in the comparison of its label."""
    trained = f"-{block.n_labels}-s{block.seed}" if block.n_labels else ""  # nothing to learn: one run
    run = planner.run(
        system=key,
        block=block,
        slug=f"{block.label}-{model}{trained}",
        stage="baseline",
        recipe=recipe,
        task=block.label,
        version=_VERSIONS.get(model, 1),
        n_labels=block.n_labels,
        seed=block.seed,
        **events,
    )
    planner.study(key, f"baselines_{block.label}", "baselines", run, "model", model)


def _check_chamber(planner: Planner, key: str, on: str) -> None:
    """Stop unless the Kalman filter can work in the detector."""
    try:
        chamber_of(planner.detector(on))
    except ConfigError as error:
        raise ConfigError(f"systems.{key}.baselines.instances.models: {error}; take kalman out") from error


def plan_sparse_unet(
    planner: Planner,
    key: str,
    filters: int,
    depth: int,
    training: LabelledTraining,
    outputs: dict[str, int],
    events: dict[str, Any],
) -> None:
    """Add the sparse U-Net on the events of a system of tokens, for one label with classes."""
    ((label, classes),) = outputs.items()
    for n_labels in training.labels:
        for seed in training.seeds:
            block = SparseUNetConfig(
                label=label,
                classes=classes,
                n_labels=n_labels,
                filters=filters,
                depth=depth,
                train=training.budget(n_labels).model_dump(),
                seed=seed,
            )  # type: ignore[arg-type]
            _add(planner, key, block, "sparse_unet", "baselines.sparse_unet", events)
