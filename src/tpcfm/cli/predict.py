"""``tpcfm predict``."""

from pathlib import Path

import typer

MODEL = typer.Argument(
    ...,
    help="Model directory, id of a run or of imported weights in results/runs (or its beginning), an entry of the MLflow registry "
    "(models:/NAME@ALIAS), or a model on Hugging Face (hf:OWNER/NAME).",
)
FILES = typer.Argument(
    ..., help="Raw files or event tables of the model's detector; globs and {000..099} are expanded."
)
OUT = typer.Option(..., help="Folder for the tables; finished files in it are left alone.")
DEVICE = typer.Option(None, help="cpu, cuda or cuda:N; default: CUDA if there is one.")
WORKERS = typer.Option(1, min=0, help="Threads that read and prepare ahead of the network; 0: none.")
BATCH_POINTS = typer.Option(
    20_000, min=1, help="Points that go through the network together; a larger event goes alone."
)
OVERWRITE = typer.Option(False, "--overwrite", help="Replace tables that are there.")
DETECTOR = typer.Option(
    None,
    help="Reads raw files, if not as the model's detector says: a YAML file of the same detector in another format.",
)
RESULTS = typer.Option(Path("results"), help="Results folder that names are looked up in.")
QUIET = typer.Option(False, "--quiet", help="No progress.")


def command(
    model: str = MODEL,
    files: list[str] = FILES,
    out: Path = OUT,
    like_input: bool = typer.Option(
        False,
        "--like-input",
        help="Write the labels in the layout of each raw file, too (HDF5, npz, CSV, Parquet, ROOT).",
    ),
    device: str | None = DEVICE,
    workers: int = WORKERS,
    batch_points: int = BATCH_POINTS,
    overwrite: bool = OVERWRITE,
    detector: str | None = DETECTOR,
    results: Path = RESULTS,
    quiet: bool = QUIET,
) -> None:
    """Label the points of any number of files with a trained model: FILE.predictions.parquet for each."""
    from tpcfm.cli._apply import apply

    apply(
        "predict_files",
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
        like_input=like_input,
    )
