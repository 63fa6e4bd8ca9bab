"""Which runs the pictures of the report show, so that the workflow, the command line and the report agree."""

from dataclasses import dataclass

from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan

TASKS = ("tracks", "pid", "noise")


@dataclass(frozen=True)
class PolarMaePictures:
    """Runs behind the pictures of PoLAr-MAE: the cache, and the pretrained runs by name (``polar_mae``, ``point_mae``)."""

    cache: str
    pretrained: dict[str, str]

    @property
    def runs(self) -> list[str]:
        """Runs that must have finished."""
        return sorted(self.pretrained.values())


@dataclass(frozen=True)
class Fm4nppPictures:
    """Runs behind the pictures of FM4NPP: labelled dataset, its cache, one backbone and the adapters on it by task.

    ``compared`` are the track finders whose answers are compared, by name (`compared_runs`).
    """

    dataset: str
    cache: str
    backbone: str
    adapters: dict[str, str]
    compared: dict[str, str]

    @property
    def runs(self) -> list[str]:
        """Runs that must have finished."""
        return sorted({self.backbone, *self.adapters.values(), *self.compared.values()})


def polar_mae_pictures(plan: Plan) -> PolarMaePictures | None:
    """Return the first seed of every pretraining objective; None if nothing is pretrained."""
    study = plan.studies.get("pretrain_polar_mae")
    if study is None:
        return None
    found: dict[str, str] = {}
    for point in study.points:
        found.setdefault(point.value, point.run)
    return PolarMaePictures(plan.runs[next(iter(found.values()))].cache, found)


def fm4npp_pictures(plan: Plan) -> Fm4nppPictures | None:
    """Return the backbone that most tasks have an adapter on (the widest of equals), with these adapters; None without one.

    Without adapters it is the widest pretrained backbone, and its own events.
    """
    study = plan.studies.get("pretrain_fm4npp")
    if study is None:
        return None
    chosen: dict[str, dict[str, str]] = {}
    for task in TASKS:
        for run in _ordered(plan, f"adapters_{task}"):
            if run.pretrained in plan.runs:  # imported weights have events of their own order
                chosen.setdefault(run.pretrained, {}).setdefault(task, run.id)
    backbones = list(chosen) or study.runs
    backbone = max(backbones, key=lambda name: (len(chosen.get(name, {})), plan.runs[name].config["model"]["width"]))
    adapters = chosen.get(backbone, {})
    shown = plan.runs[next(iter(adapters.values()), backbone)]
    return Fm4nppPictures(shown.dataset, shown.cache, backbone, adapters, compared_runs(plan, "tracks"))


def compared_runs(plan: Plan, task: str) -> dict[str, str]:
    """Return the runs shown beside each other for an FM4NPP task: ``adapter only``, then the pretrained ones by name.

    All have the same number of labels and the same seed: those of the run with most labels of the widest backbone. Empty
    if there is no pretrained run for the task.
    """
    study = plan.studies.get(f"adapters_{task}")
    pretrained = [run for run in _ordered(plan, f"adapters_{task}") if run.pretrained in plan.runs]
    if study is None or not pretrained:
        return {}
    best = pretrained[0]
    names = {point.run: point.value for point in study.points}
    control = [
        run
        for run in _ordered(plan, f"adapters_{task}")
        if run.config["start"] == "none" and (run.n_labels, run.seed) == (best.n_labels, best.seed)
    ]
    return {names[run.id]: run.id for run in [*control[:1], best]}


def picture_runs(plan: Plan, system: str) -> list[str]:
    """Return the runs that the pictures of a system are made from; empty if there are no pictures."""
    found = polar_mae_pictures(plan) if system == "polar_mae" else fm4npp_pictures(plan)
    return found.runs if found else []


def _ordered(plan: Plan, study: str) -> list[Run]:
    """Runs of a study: most labels first, then the widest backbone, then the smallest seed."""
    runs = [plan.runs[name] for name in (plan.studies[study].runs if study in plan.studies else [])]
    return sorted(runs, key=lambda run: (-(run.n_labels or 0), -run.config["model"]["width"], run.seed))
