"""How much of a pretrained backbone is trained together with a head on labels."""

from typing import Literal

from pydantic import Field

from tpcfm.config.base import Block

Way = Literal["frozen", "last", "lora", "full"]
WAYS = (
    "what is trained beside the head: frozen: nothing; last: the last blocks of the backbone; lora: low-rank changes of its maps "
    "(arXiv 2106.09685); full: all of it"
)

NAMES: dict[str, str] = {"frozen": "frozen", "last": "last blocks", "lora": "low rank", "full": "fine-tuned"}
"""As people write them."""


class Tuning(Block):
    """Sizes of what is trained of a backbone."""

    blocks: int = Field(2, gt=0, description="last: so many blocks at the end of the backbone")
    rank: int = Field(8, gt=0, description="lora: rank of the change of each map")
    alpha: float = Field(16.0, gt=0, description="lora: the change is multiplied by alpha / rank")
    rate: float = Field(1.0, gt=0, description="learning rate of the backbone, relative to that of the head")
