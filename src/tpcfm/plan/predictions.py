"""What ``snakemake predict`` does: the model, and a job for each file."""

from dataclasses import dataclass
from pathlib import Path

from tpcfm.config.predict import PredictConfig
from tpcfm.config.sources import distinct_names, expand
from tpcfm.errors import ConfigError
from tpcfm.plan.table import Plan
from tpcfm.workspace import Workspace


@dataclass(frozen=True)
class Predictions:
    """Jobs of the block ``predict``.

    Attributes:
        model: as `tpcfm predict` takes it.
        name: of the folder that the tables go to.
        weights: file that must be there before, of a run of the plan it is made first; None for an entry of a registry.
        files: of each job its file, by the name of its table.
    """

    model: str
    name: str
    weights: str | None
    files: dict[str, str]


def predictions(block: PredictConfig | None, plan: Plan, workspace: Workspace) -> Predictions | None:
    """Return the jobs of a configuration; None without the block.

    Raises:
        ConfigError: no such model, files that are not there, or that would be written to one table.
    """
    if block is None:
        return None
    named = distinct_names([Path(path) for path in expand(list(block.files), "predict.files")], "predict.files")
    files = {name: str(path) for path, name in named.items()}
    folder = Path(block.model)
    if folder.is_dir() or block.model.startswith("models:"):
        weights = folder / "model.safetensors"
        name = (
            folder.resolve().name
            if folder.is_dir()
            else block.model.removeprefix("models:").strip("/").replace("/", "-")
        )
        return Predictions(block.model, name, str(weights) if folder.is_dir() else None, files)
    run = block.model
    if not workspace.model_config(run).is_file():
        try:
            run = plan.run(run).id
        except ConfigError as error:
            raise ConfigError(
                f"predict.model: {error}; nor is it a model directory, nor one in {workspace.run(run).parent}"
            ) from None
    return Predictions(str(workspace.run(run)), run, str(workspace.weights(run)), files)
