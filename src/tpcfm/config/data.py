"""Data sources: simulated or given files, splits."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block


class SplitConfig(Block):
    """How events are divided. ``hash`` draws from the event id; ``published`` follows the files' own folders."""

    by: Literal["hash", "published"] = "hash"
    validation: float = Field(0.1, ge=0, lt=1, description="share of events for validation (hash)")
    test: float = Field(0.1, ge=0, lt=1, description="share of events for the test (hash)")
    seed: int = 0

    @model_validator(mode="after")
    def _leaves_training_events(self) -> "SplitConfig":
        if self.validation + self.test >= 1:
            raise ValueError(f"validation + test = {self.validation + self.test} leaves no training events")
        return self


class LArTPCSimulation(Block):
    """Liquid-argon simulation: how much to make. Physics constants live with the simulator."""

    files: int = Field(gt=0)
    events_per_file: int = Field(gt=0)
    seed: int = 0
    revision: Literal["v1", "v2", "v3"] = "v2"


class ColliderSimulation(Block):
    """Collider simulation: how much to make, and from which event source."""

    files: int = Field(gt=0)
    events_per_file: int = Field(gt=0)
    seed: int = 0
    source: Literal["pythia", "gun"] = "pythia"
    labelled: bool = True
    particles: bool = Field(True, description="write the optional truth-particle table too")


def _one_origin(simulate: object | None, files: list[str], download: list[str]) -> None:
    given = [n for n, v in (("simulate", simulate), ("files", files), ("download", download)) if v]
    if len(given) != 1:
        raise ValueError(f"give exactly one of simulate, files, download; found {', '.join(given) or 'none'}")


class LArTPCSource(Block):
    """Events in the PILArNet-M layout: simulated, or files (paths or globs)."""

    name: str = Field("lartpc", pattern=r"^[a-z][a-z0-9_]*$")
    simulate: LArTPCSimulation | None = None
    files: list[str] = Field(default_factory=list, description="paths or globs of files at hand; {000..099} counts")
    download: list[str] = Field(
        default_factory=list, description="files of the public release, `tpcfm fetch` brings them"
    )
    revision: str = Field("v1", description="revision of the public release (download)")
    split: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> "LArTPCSource":
        _one_origin(self.simulate, self.files, self.download)
        return self


class ColliderSource(Block):
    """Events in the TPCpp-10M layout: simulated, or files (paths or globs of spacepoints files)."""

    name: str = Field("collider", pattern=r"^[a-z][a-z0-9_]*$")
    simulate: ColliderSimulation | None = None
    files: list[str] = Field(default_factory=list, description="paths or globs of spacepoints*.npz; {000..099} counts")
    download: list[str] = Field(
        default_factory=list, description="files of the public release, `tpcfm fetch` brings them"
    )
    split: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> "ColliderSource":
        _one_origin(self.simulate, self.files, self.download)
        return self
