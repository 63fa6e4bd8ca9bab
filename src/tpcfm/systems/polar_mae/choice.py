"""Which runs the pictures of a PoLAr-MAE system show, so that the workflow, the command line and the report agree."""

from dataclasses import dataclass

from tpcfm.plan.table import Plan


@dataclass(frozen=True)
class PolarMaePictures:
    """Runs behind the pictures: the cache, and the pretrained runs by name (``polar_mae``, ``point_mae``)."""

    cache: str
    pretrained: dict[str, str]

    @property
    def runs(self) -> list[str]:
        """Runs that must have finished."""
        return sorted(self.pretrained.values())


def polar_mae_pictures(plan: Plan, system: str) -> PolarMaePictures | None:
    """Return the first seed of every pretraining objective; None if nothing is pretrained."""
    study = plan.study(system, "pretrain")
    if study is None:
        return None
    found: dict[str, str] = {}
    for point in study.points:
        found.setdefault(point.value, point.run)
    return PolarMaePictures(plan.runs[next(iter(found.values()))].cache, found)
