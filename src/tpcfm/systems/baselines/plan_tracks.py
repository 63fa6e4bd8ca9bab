"""Runs of the comparison systems of track finding, on the same events, label subsets and seeds as the adapters."""

from tpcfm.plan.table import Planner
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig, TrackBaselines


def plan_track_baselines(planner: Planner, study: TrackBaselines, dataset: str, cache: str) -> None:
    """Add track finding to the plan; the Kalman filter learns nothing, so it is one run for all label counts."""
    assert planner.config.fm4npp is not None
    for model in study.models:
        counts = [0] if model == "kalman" else study.training.labels
        for n_labels in counts:
            for seed in [0] if model == "kalman" else study.training.seeds:
                train = study.training.budget(n_labels) if n_labels else study.training.train
                if model in study.learning_rates:
                    train = train.model_copy(update={"learning_rate": study.learning_rates[model]})
                block = TrackBaselineConfig.model_validate(
                    {
                        "model": model,
                        "n_labels": n_labels,
                        model: getattr(study, model),
                        "validation_events": planner.config.fm4npp.validation_events,
                        "tuning_events": study.tuning_events,
                        "train": train,
                        "seed": seed,
                    }
                )
                run = planner.run(
                    slug=f"tracks-{model}-{n_labels}-s{seed}" if n_labels else f"tracks-{model}",
                    stage="baseline",
                    family="fm4npp",
                    recipe="baselines.find_tracks",
                    task="tracks",
                    config=block.model_dump(mode="json"),
                    dataset=dataset,
                    cache=cache,
                    n_labels=n_labels,
                    seed=seed,
                )
                planner.study("baselines_tracks", "baselines", run, "model", model)
