"""The block ``predict``: files that a trained model labels, as jobs of the workflow (``snakemake predict``)."""

from pydantic import Field

from tpcfm.config.base import Block, Pattern


class PredictConfig(Block):
    """A trained model and the files that it labels, one job each. Part of no id: nothing is trained."""

    model: str = Field(
        min_length=1,
        description="id of a run of this configuration, or its beginning; or what `tpcfm predict` takes: a model directory, "
        "imported weights, models:/<name>@<alias>",
    )
    files: list[Pattern] = Field(
        min_length=1, description="raw files or event tables; globs and {000..099} are expanded"
    )
    detector: str | None = Field(
        None, description="reads the raw files, if not as the model's detector says: a YAML file"
    )
    like_input: bool = Field(False, description="write the labels in the layout of each raw file, too")
    batch_points: int = Field(20_000, gt=0, description="points that go through the network together")
