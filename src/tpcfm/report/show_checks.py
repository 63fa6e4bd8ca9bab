"""What `tpcfm show` refuses before anything heavy is loaded: names of pictures and of files."""

from pathlib import Path

from tpcfm.errors import ConfigError, DataError

STILLS = (".png", ".svg", ".pdf")
NEEDED = "an event table or a predictions table (.parquet), or a raw file with --detector"


def check_output(out: Path) -> None:
    """Make sure that a picture can be written.

    Raises:
        ConfigError: an ending that is not known.
    """
    if out.suffix not in (".html", *STILLS):
        raise ConfigError(
            f"--out {out}: ends in {out.suffix!r}; allowed: .html (rotatable), {', '.join(STILLS)} (still)"
        )


def check_source(file: Path, *, model: bool, raw: bool = False) -> None:
    """Make sure that there is a file of events to draw.

    Args:
        file: given by the user.
        model: a trained model says how the file is read, and the folder of a prepared cache will do.
        raw: a detector was named, so that a raw file will do.

    Raises:
        DataError: no such file, a folder where a file is needed (the message says what the folder is and what to give), or
            a raw file of which nobody says the detector.
    """
    if not file.exists():
        raise DataError(f"{file}: no such file")
    if file.is_dir():
        if model and any(file.glob("*.arrow")):
            return
        raise DataError(f"{file}: a folder; {_instead(file, model)}")
    if file.suffix != ".parquet" and not (model or raw):
        raise DataError(
            f"{file}: a raw file does not say its detector: give --detector NAME or --detector mine.yaml "
            "(`tpcfm detector list` shows the names)"
        )


def _instead(folder: Path, model: bool) -> str:
    """Say what to give in the place of a folder."""
    if (folder / "config.json").is_file():
        if (folder / "predictions.parquet").is_file() and not model:
            return f"it holds a model: give its {folder / 'predictions.parquet'}, or an event file and --run {folder}"
        return f"it holds a model: give an event file, and the model as --run {folder}"
    if any(folder.glob("*.arrow")):
        return (
            "it holds a prepared cache, which is drawn with --run only; without, give the raw file or the event table"
        )
    files = sorted(
        p for p in folder.iterdir() if p.is_file() and not p.name.endswith((".rejected.parquet", ".json", ".yaml"))
    )
    if files:
        return f"give one of its {len(files)} files, such as {files[0]}"
    return f"needed is {NEEDED}" + (" or the folder of a prepared cache" if model else "")
