"""Model directories on Hugging Face: ``hf:owner/name``, fetched once per revision into the user's cache. Nothing is unpickled."""

import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from urllib3.exceptions import MaxRetryError

from tpcfm.errors import ConfigError, DataError, MachineError
from tpcfm.files import read_json as read_file
from tpcfm.files import write_json
from tpcfm.release.http import fetch_file, hub_address, read_json, require_space
from tpcfm.release.listing import hub_file, pages

PREFIX = "hf:"
FILES = {"config.json", "model.safetensors", "README.md", "run.json", "metrics.parquet", "log.parquet"}
"""What is fetched, of a model and of the backbone in its folder."""
_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_log = logging.getLogger("tpcfm.release")


def repository(name: str) -> tuple[str, str]:
    """Return repository and revision of ``hf:owner/name`` or ``hf:owner/name@revision`` (default: ``main``).

    Raises:
        ConfigError: written otherwise.
    """
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if not found or ".." in name:
        raise ConfigError(
            f"model {name!r}: a model on Hugging Face is hf:<owner>/<name> or hf:<owner>/<name>@<revision>"
        )
    return found[1], found[2] or "main"


def cache_folder() -> Path:
    """Return where fetched models lie: ``TPCFM_HUB_CACHE``, else ``tpcfm/hub`` in the user's cache."""
    if given := os.environ.get("TPCFM_HUB_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tpcfm" / "hub"


def fetch_model(name: str) -> Path:
    """Return the folder of a model on Hugging Face; what is here already is not fetched again.

    The revision is looked up each time; without a connection the one that was fetched last is taken, with a warning; with
    ``HF_HUB_OFFLINE=1`` it is taken at once.

    Raises:
        ConfigError: a name that is no repository.
        DataError: the repository holds no model directory, or a file arrived damaged.
        MachineError: no such repository or revision, no connection and nothing here, or the disk is full.
    """
    repo, revision = repository(name)
    place = cache_folder() / repo.replace("/", "--")
    known = place / "revisions.json"
    seen: dict[str, str] = read_file(known) if known.is_file() else {}
    held = place / seen.get(revision, "-")
    if os.environ.get("HF_HUB_OFFLINE", "0") in ("1", "true") and held.is_dir():
        return held
    try:
        about, _ = read_json(f"{hub_address()}/api/models/{repo}/revision/{quote(revision, safe='')}")
    except MachineError as error:
        if not isinstance(error.__cause__, MaxRetryError) or not held.is_dir():
            raise
        _log.warning("%s: no connection; taken is what was fetched before (%s)", name, held.name)
        return held
    commit = str(about.get("sha", "")) if isinstance(about, dict) else ""
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        raise DataError(f"{hub_address()}: names no commit of {repo}; is this a server of the right kind?")
    folder = place / commit
    if not folder.is_dir():
        _fetch(name, repo, commit, folder)
    if seen.get(revision) != commit:
        write_json(known, {**seen, revision: commit})
    return folder


def _fetch(name: str, repo: str, commit: str, folder: Path) -> None:
    """Fetch the files of a commit; the folder appears whole."""
    entries = pages(f"{hub_address()}/api/models/{repo}/tree/{commit}?recursive=true")
    files = [hub_file(entry) for entry in entries if _wanted(entry)]
    if not {"config.json", "model.safetensors"} <= {file.path for file in files}:
        raise DataError(f"{name}: holds no model directory of tpcfm (config.json and model.safetensors)")
    part = folder.with_name(f"{commit}.part")
    require_space(part, sum(file.size for file in files))
    for file in files:
        url = f"{hub_address()}/{repo}/resolve/{commit}/{file.path}"
        fetch_file(url, part / file.path, file.size, file.sha256)
    try:
        part.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was first
            raise MachineError(f"{folder}: writing failed: {error.strerror or error}") from error


def _wanted(entry: dict[str, Any]) -> bool:
    path = str(entry.get("path", ""))
    return entry.get("type") == "file" and path.removeprefix("backbone/") in FILES
