"""``tpcfm embed``."""

from pathlib import Path

from tpcfm.cli.predict import BATCH_POINTS, DETECTOR, DEVICE, FILES, MODEL, OUT, OVERWRITE, QUIET, RESULTS, WORKERS


def command(
    model: str = MODEL,
    files: list[str] = FILES,
    out: Path = OUT,
    device: str | None = DEVICE,
    workers: int = WORKERS,
    batch_points: int = BATCH_POINTS,
    overwrite: bool = OVERWRITE,
    detector: str | None = DETECTOR,
    results: Path = RESULTS,
    quiet: bool = QUIET,
) -> None:
    """Write the features that a pretrained backbone makes of the events of any number of files: FILE.features.parquet for each."""
    from tpcfm.cli._apply import apply

    apply(
        "embed_files",
        model,
        files,
        out,
        device=device,
        workers=workers,
        batch_points=batch_points,
        overwrite=overwrite,
        detector=detector,
        results=results,
        quiet=quiet,
    )
