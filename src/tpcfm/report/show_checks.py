"""What `tpcfm show` refuses before anything heavy is loaded: names of pictures and of files."""

from pathlib import Path

from tpcfm.errors import ConfigError, DataError

STILLS = (".png", ".svg", ".pdf")
FORMATS = (
    "a PILArNet-M file (.h5), a TPCpp-10M file (spacepoints*.npz), an event table or a predictions table (.parquet)"
)


def check_output(out: Path) -> None:
    """Make sure that a picture can be written.

    Raises:
        ConfigError: an ending that is not known.
    """
    if out.suffix not in (".html", *STILLS):
        raise ConfigError(
            f"--out {out}: ends in {out.suffix!r}; allowed: .html (rotatable), {', '.join(STILLS)} (still)"
        )


def check_source(file: Path, *, model: bool) -> None:
    """Make sure that there is a file of events to draw; with a ``model``, the folder of a prepared cache is one too.

    Raises:
        DataError: no such file, a folder where a file is needed (the message says what the folder is and what to give), or
            another format.
    """
    if not file.exists():
        raise DataError(f"{file}: no such file")
    if file.is_dir():
        if model and any(file.glob("*.arrow")):
            return
        raise DataError(f"{file}: a folder; {_instead(file, model)}")
    if file.suffix not in (".h5", ".npz", ".parquet"):
        raise DataError(f"{file}: expected {FORMATS}" + (" or the folder of a prepared cache" if model else ""))


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
    events = sorted(
        p
        for p in (*folder.glob("*.h5"), *folder.glob("spacepoints*.npz"), *folder.glob("*.parquet"))
        if not p.name.endswith(".rejected.parquet")
    )
    if events:
        return f"give one of its {len(events)} files, such as {events[0]}"
    return f"needed is {FORMATS}" + (" or the folder of a prepared cache" if model else "")
