"""Runs of the comparison systems of FM4NPP, on the same events, label subsets and seeds as the adapters."""

from tpcfm.plan.table import Planner
from tpcfm.systems.baselines.plan_tracks import plan_track_baselines
from tpcfm.systems.baselines.settings import BaselinesStudy, PointBaselineConfig, PointBaselines


def plan_baselines(planner: Planner, study: BaselinesStudy, dataset: str, cache: str) -> None:
    """Add the comparison systems to the plan."""
    if study.point:
        plan_point_baselines(planner, study.point, dataset, cache)
    if study.tracks:
        plan_track_baselines(planner, study.tracks, dataset, cache)


def plan_point_baselines(planner: Planner, study: PointBaselines, dataset: str, cache: str) -> None:
    """Add particle identification and noise tagging to the plan."""
    assert planner.config.fm4npp is not None
    validation_events = planner.config.fm4npp.validation_events
    for task in ("pid", "noise"):
        labelled = getattr(study, task)
        if labelled is None:
            continue
        models = study.noise_models if task == "noise" and study.noise_models is not None else study.models
        for model in models:
            for n_labels in labelled.labels:
                for seed in labelled.seeds:
                    train = labelled.budget(n_labels)
                    if model in study.learning_rates:
                        train = train.model_copy(update={"learning_rate": study.learning_rates[model]})
                    block = PointBaselineConfig(
                        model=model,
                        task=task,
                        n_labels=n_labels,
                        graph=None if model == "voxel_unet" else study.graph,
                        voxel=study.voxel if model == "voxel_unet" else None,
                        validation_events=validation_events,
                        train=train,
                        seed=seed,
                    )
                    run = planner.run(
                        slug=f"{task}-{model}-{n_labels}-s{seed}",
                        stage="baseline",
                        family="fm4npp",
                        recipe="baselines.classify_points",
                        task=task,
                        config=block.model_dump(mode="json"),
                        dataset=dataset,
                        cache=cache,
                        n_labels=n_labels,
                        seed=seed,
                    )
                    planner.study(f"baselines_{task}", "baselines", run, "model", model)
