"""Datasets: events of one detector, simulated, downloaded or given as files, and how they are split."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, Pattern, Place, Seed


class SplitConfig(Block):
    """How events are divided. ``hash`` draws from the event id; ``published`` follows the files' own folders.

    Where the published files lack a test, their validation files are the test and a hash share of the training events is the
    validation, so that choices and scores never see the same events; where they lack both, the training events give both.
    """

    by: Literal["hash", "published"] = "hash"
    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of events for validation (hash), of training events where none are published",
    )
    test: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of events for the test (hash), of training events where only those are published",
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _leaves_training_events(self) -> "SplitConfig":
        if self.validation + self.test >= 1:
            raise ValueError(f"validation + test = {self.validation + self.test} leaves no training events")
        return self


class Simulation(Block):
    """How much to simulate; the detector names the simulation."""

    files: int = Field(gt=0)
    events_per_file: int = Field(gt=0)
    seed: Seed = 0
    revision: Literal["v1", "v2", "v3"] = Field("v2", description="layout to write (liquid argon)")
    source: Literal["pythia", "gun"] = Field("pythia", description="what collides (collider)")
    labelled: bool = Field(True, description="write the labels too (collider)")
    particles: bool = Field(True, description="write the table of true particles too (collider)")


class DataSource(Block):
    """Events of one detector: simulated, files at hand, or files of its public release."""

    detector: Place = Field(min_length=1, description="name (`tpcfm detector list`) or a YAML file of one's own")
    simulate: Simulation | None = None
    files: list[Pattern] = Field(default_factory=list, description="paths or globs of files at hand; {000..099} counts")
    download: list[str] = Field(
        default_factory=list, description="files of the public release; * takes those that its list holds"
    )
    revision: str = Field("v1", description="revision of the public release (download)")
    lock: Place | None = Field(
        None,
        description="list of the release that `tpcfm fetch ... --list` writes; null: workflow/releases/<release>-<revision>.json",
    )
    split: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> "DataSource":
        given = [name for name in ("simulate", "files", "download") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"give exactly one of simulate, files, download; found {', '.join(given) or 'none'}")
        return self
