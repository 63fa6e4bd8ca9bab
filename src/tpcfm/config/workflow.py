"""The whole configuration, ``config.yaml`` with overlays: datasets, systems, and how jobs run."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from tpcfm.config.base import Block, NullTakesOut, Place
from tpcfm.config.data import DataSource
from tpcfm.config.execution import Execution
from tpcfm.config.predict import PredictConfig
from tpcfm.config.system import Key, SystemBlock


class PicturesConfig(Block):
    """What the pictures of the report are computed on."""

    events: int = Field(6, gt=0, description="held-out events behind the numbers of the feature pictures")
    points: int = Field(600, ge=20, description="points of each projection; t-SNE costs most")
    tsne_dims: list[Annotated[int, Field(ge=2, le=5)]] = Field(
        default=[2, 3, 4, 5], min_length=1, description="dimensions of t-SNE, 2 to 5"
    )
    serialization_events: int = Field(300, gt=0, description="events of the comparison of serializations")

    @field_validator("tsne_dims")
    @classmethod
    def _dims(cls, value: list[int]) -> list[int]:
        return sorted(set(value))


class MlflowConfig(Block):
    """Tracking. Files in the run folders are the record; this only mirrors them."""

    tracking_uri: str | None = Field(None, pattern=r"^https?://", description="live mirror; null writes none")
    max_artifact_mib: int = Field(50, ge=0, description="larger weights are not copied into the store")


def _no_wildcards(value: str) -> str:
    if "{" in value or "}" in value:
        raise ValueError("braces stand for wildcards in Snakemake; name the folder without them")
    return value


class WorkflowConfig(Block):
    """``config.yaml``. The types of `systems` are those of the families (`tpcfm.systems.registry.Configuration`)."""

    scale: Literal["tiny", "demo", "study", "h200", "paper", "walk", "own"] = Field(
        "demo", description="stamped on every figure and page; `own`: for your own data and settings"
    )
    results: Annotated[Place, AfterValidator(_no_wildcards)] = Field(
        "results", min_length=1, description="folder everything is written to"
    )
    container: Place = Field(
        "containers/tpcfm-cpu-0.1.0.sif", description="image of every rule (path, docker:// or oras://)"
    )
    data: Annotated[dict[Key, DataSource], NullTakesOut] = Field(min_length=1)
    systems: Annotated[dict[Key, SystemBlock], NullTakesOut] = Field(min_length=1)
    execution: Execution = Execution()
    predict: PredictConfig | None = Field(None, description="files that `snakemake predict` labels")
    pictures: PicturesConfig | None = Field(PicturesConfig(), description="null leaves the model pictures out")
    mlflow: MlflowConfig = MlflowConfig()

    @model_validator(mode="after")
    def _names_are_known(self) -> "WorkflowConfig":
        for key, system in self.systems.items():
            for name in ("dataset", "pretrain_dataset"):
                given = getattr(system, name)
                if given is not None and given not in self.data:
                    raise ValueError(
                        f"systems.{key}.{name}: there is no dataset {given!r}; data holds {', '.join(self.data)}"
                    )
            if system.start is not None:
                other = self.systems.get(system.start)
                if other is None or system.start == key or other.family != system.family:
                    others = [k for k, o in self.systems.items() if k != key and o.family == system.family]
                    raise ValueError(
                        f"systems.{key}.start: {system.start!r} is no other system of the family {system.family};"
                        f" allowed: {', '.join(others) or 'none is there'}"
                    )
        return self
