"""The backbone and the heads of FM4NPP (arXiv 2508.14087)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, LabelCount, Positive, Seed
from tpcfm.config.training import TrainConfig
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.tuning.settings import WAYS, Tuning, Way

WIDTHS = {"m1": 64, "m2": 128, "m3": 256, "m4": 512, "m5": 1024, "m6": 1536}
"""Backbone width of each named size (Table 1)."""
Size = Literal["m1", "m2", "m3", "m4", "m5", "m6"]
Parameterization = Literal["mup", "standard"]
Mixer = Literal["mamba2", "mamba1", "mamba3", "bidirectional"]


Reads = Literal["layers", "final"]
READS = "layers: a learned mix of all layers, normalised (as released); final: the final output. A linear map follows"


class Fm4nppModel(Block):
    """The backbone."""

    width: int = Field(64, gt=0, description="64 (m1) to 1536 (m6)")
    depth: int = Field(12, gt=0)
    mixer: Mixer = Field("mamba2", description="sequence mixer of every block; see docs/reference/mixers.md")
    expand: int = Field(2, gt=0)
    head_size: int = Field(64, gt=0)
    state_divisor: int = Field(16, gt=0, description="state size = width / this")
    dropout: float = Field(0.1, ge=0, lt=1)
    frequencies: int = Field(10, gt=0, description="octaves of the position code")
    train_embedding: bool = False
    parameterization: Parameterization = "mup"
    base_width: int = Field(256, gt=0)

    @property
    def causal(self) -> bool:
        """Whether a point sees only the points before it in the sequence."""
        return self.mixer != "bidirectional"

    @model_validator(mode="after")
    def _divides(self) -> "Fm4nppModel":
        if self.width * self.expand % self.head_size:
            raise ValueError(
                f"width x expand ({self.width * self.expand}) must be a multiple of head_size ({self.head_size})"
            )
        if self.width % self.state_divisor:
            raise ValueError(f"width ({self.width}) must be a multiple of state_divisor ({self.state_divisor})")
        if self.mixer == "bidirectional" and self.width // self.state_divisor % 2:
            state = self.width // self.state_divisor
            raise ValueError(f"mixer: bidirectional shares the state ({state}) between two directions: it must be even")
        return self


class AdapterConfig(Block):
    """One downstream run on a backbone, frozen unless `mode` says otherwise, or on raw points (`start: none`, adapter only)."""

    outputs: dict[str, Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="label columns and their number of classes, 0 for instances; several share one trunk"
    )
    start: Literal["pretrained", "imported", "random", "none"] = Field(
        "pretrained", description="imported: the backbone is what its model directory says, whatever `model` is"
    )
    mode: Way = Field("frozen", description=WAYS)
    tuning: Tuning = Tuning()
    raw_embedding: Literal["nerf", "linear"] = Field(
        "nerf", description="points to features for `start: none`: frozen, or trained"
    )
    reads: Reads = Field("layers", description=READS)
    mix_embedding: bool = Field(
        False, description="the point embedding takes part in the learned mix, before the layers of the backbone"
    )
    n_labels: LabelCount = Field(description="labelled training events")
    width: int = Field(256, gt=0, description="adapter width")
    queries: int = Field(150, gt=0, description="objects that can be found in an event")
    decoder_layers: int = Field(2, gt=0)
    attention_layers: int = Field(1, ge=0, description="self-attention layers of the classification head")
    feed_forward: bool = Field(False, description="a feed-forward block after each of these layers (depth sweep)")
    heads: int = Field(4, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    edge_head: EdgeHead | None = Field(
        None, description="edge convolutions over features and local geometry, in place of the published head"
    )
    weights: dict[str, Positive] = Field(
        default_factory=dict, description="loss weights of several labels; 1 if not named"
    )
    validation_events: int = Field(
        1000, gt=0, description="events of the fixed validation set, evenly spaced in its split"
    )
    model: Fm4nppModel = Fm4nppModel()
    train: TrainConfig
    seed: Seed = 0

    @property
    def layers(self) -> int:
        """Number of layers that the learned mix takes; one for raw points."""
        return 1 if self.start == "none" or self.reads == "final" else self.model.depth + self.mix_embedding

    @property
    def tasks(self) -> list[str]:
        """Label columns that are predicted."""
        return list(self.outputs)

    @property
    def instances(self) -> bool:
        """Whether objects are found, in place of classes given to points."""
        return 0 in self.outputs.values()

    @model_validator(mode="after")
    def _fits(self) -> "AdapterConfig":
        if self.instances and len(self.outputs) > 1:
            raise ValueError(f"outputs ({self.outputs}): instances are found one label at a time")
        if self.reads == "final" and self.mix_embedding:
            raise ValueError("mix_embedding: reads: final takes the final output alone; there is nothing to mix")
        if self.mode != "frozen" and self.start == "none":
            raise ValueError(f"mode: {self.mode} trains a backbone; start: none has none (allowed: frozen)")
        if unknown := set(self.weights) - set(self.outputs):
            raise ValueError(f"weights: {sorted(unknown)} are not among the outputs ({', '.join(self.outputs)})")
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self
