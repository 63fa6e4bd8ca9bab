"""Publishing a model: a folder in the layout of Hugging Face, there or uploaded. Imports no torch."""

import shutil
import tempfile
from pathlib import Path

from tpcfm.errors import ConfigError, MachineError
from tpcfm.files import write_text
from tpcfm.inference.preparation import model_detector
from tpcfm.inference.share.bundle import stand_alone
from tpcfm.inference.share.card import model_card
from tpcfm.release.http import hub_address
from tpcfm.release.hub import PREFIX, repository
from tpcfm.train.model_files import CARD, load_config

ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n"


def publish(folder: str | Path, to: str, *, name: str = "", licence: str = "apache-2.0", private: bool = False) -> str:
    """Write or upload a model with its card; `tpcfm.load` takes what this returns.

    Args:
        folder: model directory.
        to: folder to write, or ``hf:<owner>/<name>`` to upload (made if need be; needs the package huggingface_hub and a login).
        name: what the card says to load, if not ``to``: the repository that a folder will be pushed to.
        licence: of the weights.
        private: of a repository that is made.

    Raises:
        ConfigError: the folder holds something else, or no name of a repository.
        CheckpointError, DataError: not a model directory, or its backbone is not beside it.
        MachineError: it cannot be written or uploaded.
    """
    if to.startswith(PREFIX):
        repo, revision = repository(to)
        with tempfile.TemporaryDirectory() as place:
            _write(Path(folder), Path(place), name or to, licence)
            _upload(Path(place), repo, revision, private)
        return to
    out = Path(to)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "config.json").is_file())):
        raise ConfigError(f"--to {out}: is there and no model directory; name a new folder, or hf:<owner>/<name>")
    _write(Path(folder), out, name or to, licence)
    return to


def _write(folder: Path, out: Path, name: str, licence: str) -> None:
    if folder.resolve() == out.resolve():
        raise ConfigError(f"--to {out}: is the model itself; name another folder")
    config = load_config(folder)
    card = model_card(folder, config, model_detector(config), name, licence)
    shutil.rmtree(out / "backbone", ignore_errors=True)
    stand_alone(folder, out)
    write_text(out / CARD, card)
    write_text(out / ".gitattributes", ATTRIBUTES)


def _upload(folder: Path, repo: str, revision: str, private: bool) -> None:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MachineError(
            "uploading needs huggingface_hub: pip install 'tpcfm[hub]'; or publish to a folder and push that yourself"
        ) from error
    api = HfApi(endpoint=hub_address())
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=str(folder), revision=revision, commit_message="tpcfm publish")
    except Exception as error:  # the package raises errors of several libraries
        raise MachineError(
            f"{hub_address()}/{repo}: not uploaded: {next(iter(str(error).splitlines()), error)}"
        ) from error
