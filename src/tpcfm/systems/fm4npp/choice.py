"""Which runs the pictures of an FM4NPP system show, so that the workflow, the command line and the report agree."""

from dataclasses import dataclass

from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan


@dataclass(frozen=True)
class Fm4nppPictures:
    """Runs behind the pictures: labelled dataset, its cache, one backbone and the adapters on it by task.

    ``compared`` are the instance finders whose answers are compared, by name (`compared_runs`); ``instances`` their task.
    """

    dataset: str
    cache: str
    backbone: str
    adapters: dict[str, str]
    compared: dict[str, str]
    instances: str | None

    @property
    def runs(self) -> list[str]:
        """Runs that must have finished."""
        return sorted({self.backbone, *self.adapters.values(), *self.compared.values()})


def tasks_of(plan: Plan, system: str) -> list[str]:
    """Return the tasks of a system, those with instances first."""
    tasks = list(plan.config["systems"][system]["tasks"])
    return sorted(tasks, key=lambda task: not _instances(plan, system, task))


def fm4npp_pictures(plan: Plan, system: str) -> Fm4nppPictures | None:
    """Return the backbone that most tasks have an adapter on (the widest of equals), with these adapters; None without one.

    Without adapters it is the widest pretrained backbone, and its own events.
    """
    study = plan.study(system, "pretrain")
    if study is None:
        return None
    chosen: dict[str, dict[str, str]] = {}
    for task in tasks_of(plan, system):
        for run in _ordered(plan, system, task):
            if run.pretrained in plan.runs:  # imported weights have events of their own order
                chosen.setdefault(run.pretrained, {}).setdefault(task, run.id)
    backbones = list(chosen) or study.runs
    backbone = max(backbones, key=lambda name: (len(chosen.get(name, {})), plan.runs[name].config["model"]["width"]))
    adapters = chosen.get(backbone, {})
    shown = plan.runs[next(iter(adapters.values()), backbone)]
    found = next((task for task in tasks_of(plan, system) if _instances(plan, system, task)), None)
    compared = compared_runs(plan, system, found) if found else {}
    return Fm4nppPictures(shown.dataset, shown.cache, backbone, adapters, compared, found)


def compared_runs(plan: Plan, system: str, task: str) -> dict[str, str]:
    """Return the runs shown beside each other for a task: the adapter without a backbone, then the pretrained ones by name.

    All have the same number of labels and the same seed: those of the run with most labels of the widest backbone. Empty
    if there is no pretrained run for the task.
    """
    study = plan.study(system, f"heads_{task}")
    pretrained = [run for run in _ordered(plan, system, task) if run.pretrained in plan.runs]
    if study is None or not pretrained:
        return {}
    best = pretrained[0]
    names = {point.run: point.value for point in study.points}
    control = [
        run
        for run in _ordered(plan, system, task)
        if run.config["start"] == "none" and (run.n_labels, run.seed) == (best.n_labels, best.seed)  # the widest first
    ]
    return {names[run.id]: run.id for run in [*control[:1], best]}


def _instances(plan: Plan, system: str, task: str) -> bool:
    study = plan.study(system, f"heads_{task}")
    return study is not None and plan.runs[study.runs[0]].config["outputs"][task] == 0


def _ordered(plan: Plan, system: str, task: str) -> list[Run]:
    """Runs of a task: most labels first, frozen before trained backbones, then the widest backbone, then the smallest seed."""
    study = plan.study(system, f"heads_{task}")
    runs = [plan.runs[name] for name in (study.runs if study else [])]
    return sorted(
        runs, key=lambda run: (-run.labels, run.config["mode"] != "frozen", -run.config["model"]["width"], run.seed)
    )
