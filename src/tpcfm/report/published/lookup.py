"""Published numbers by family, detector and study or task: the sections ask here and name no paper."""

from tpcfm.report.published import fm4npp, polar_mae
from tpcfm.report.published.record import Numbers, Task

OBJECTIVES = polar_mae.OBJECTIVES
STUDIES = {("polar_mae", "pilarnet"): polar_mae.STUDIES, ("fm4npp", "sphenix"): fm4npp.STUDIES}
TASKS = {("polar_mae", "pilarnet"): polar_mae.TASKS, ("fm4npp", "sphenix"): fm4npp.TASKS}


def published_numbers(family: str, detector: str, study: str) -> Numbers:
    """Return what is published for a study of a family on the events of a detector; empty for most."""
    return STUDIES.get((family, detector), {}).get(study, Numbers())


def published_task(family: str, detector: str, task: str) -> Task:
    """Return the published scores of a task of a family on the events of a detector; empty for most."""
    return TASKS.get((family, detector), {}).get(task, Task())
