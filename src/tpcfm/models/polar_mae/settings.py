"""Width and depth of the PoLAr-MAE networks (arXiv 2502.02558)."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block


class PolarMaeModel(Block):
    """Width and depth of encoder and decoder."""

    width: int = Field(384, gt=0)
    depth: int = Field(12, gt=0)
    heads: int = Field(6, gt=0)
    decoder_depth: int = Field(4, gt=0)
    mlp_ratio: int = Field(4, gt=0)
    embed_hidden: int = Field(
        0, ge=0, description="first hidden width h of the mini-PointNet (then 2h, 4h); 0 = width / 3, the paper's 128"
    )
    position_layers: Literal[2, 3] = Field(
        2,
        description="linear maps that embed a token's centre (the paper counts three layers, its parameters two maps)",
    )
    drop_path: float = Field(0.25, ge=0, lt=1)
    attention_dropout: float = Field(0.05, ge=0, lt=1)
    preset: Literal["paper", "released"] = Field("paper", description="`released` loads the published weights")
    group_energy: bool = Field(
        False, description="energies relative to the mean of their group, which is embedded like its centre (App. F)"
    )
    decoder: Literal["plain", "diffusion"] = Field(
        "plain", description="`diffusion`: masked groups enter the decoder as noised copies of themselves (App. F)"
    )

    @property
    def pointnet_hidden(self) -> int:
        """First hidden width of the mini-PointNet."""
        return self.embed_hidden or max(1, self.width // 3)

    @model_validator(mode="after")
    def _heads_divide(self) -> "PolarMaeModel":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self
