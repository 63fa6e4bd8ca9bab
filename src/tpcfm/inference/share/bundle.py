"""A model directory that stands alone: a copy with the backbone that it reads in a folder of its own. Imports no torch."""

import shutil
from pathlib import Path

from tpcfm.errors import CheckpointError, MachineError
from tpcfm.files import read_json, write_json
from tpcfm.train.model_files import BACKBONE, CARD, CONFIG, LOG, RUN, WEIGHTS, backbone_folder, load_config

NEEDED = (CONFIG, WEIGHTS)
MORE = (CARD, LOG, "metrics.parquet")
OF_THE_MACHINE = ("command", "slurm", "image")
"""Keys of ``run.json`` that stay here: they hold paths and names of the machine."""


def stand_alone(folder: str | Path, out: str | Path) -> Path:
    """Copy a model directory so that it needs nothing beside it: of an adapter with its backbone in ``backbone/``.

    Args:
        folder: a model directory.
        out: made if need be; a model directory that is there is replaced file by file.

    Returns:
        ``out``.

    Raises:
        CheckpointError: no model directory, or its backbone is not where it should be.
        ConfigError, DataError: as `tpcfm.train.model_files.load_config`.
        MachineError: the copy cannot be written.
    """
    folder, out = Path(folder), Path(out)
    config = load_config(folder)
    backbone = backbone_folder(folder, config)
    if backbone is not None and not backbone.is_dir():
        raise CheckpointError(f"{folder}: its backbone is the run {config['pretrained']}, expected in {backbone}")
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder}: not a finished model directory: lacks {', '.join(missing)}")
    try:
        _copy(folder, out)
        if backbone is not None:
            _copy(backbone, out / BACKBONE)
    except OSError as error:
        raise MachineError(f"{out}: writing failed: {error.strerror or error}") from error
    return out


def _copy(folder: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in (*NEEDED, *MORE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    if (folder / RUN).is_file():
        record = read_json(folder / RUN)
        write_json(out / RUN, {key: value for key, value in record.items() if key not in OF_THE_MACHINE})
