"""``tpcfm export``."""

from pathlib import Path

import typer

from tpcfm.cli.predict import MODEL, RESULTS

FORMAT = typer.Option(
    "torch-export", "--format", help="torch-export, aot-inductor (for C++), onnx, or safetensors (weights alone)."
)
EVENTS = typer.Option(None, help="Raw file or event table: the first three events are compared; default: made-up ones.")


def command(
    model: str = MODEL,
    out: Path = typer.Option(..., help="Folder to write."),
    form: str = FORMAT,
    events: Path | None = EVENTS,
    results: Path = RESULTS,
) -> None:
    """Export the network of a model, compared with the live one on three events: tpcfm export MODEL --format onnx --out DIR"""
    from tpcfm.inference.export.export import EVENTS as COUNT
    from tpcfm.inference.export.export import export_model
    from tpcfm.inference.names import model_folder

    for found in export_model(model_folder(model, results), out, form, events):
        print(
            f"{found.label}: {COUNT} events together and one alone, {found.points} points: "
            f"{found.labels_differ} labels differ, scores by at most {found.score:.2g}"
        )
    print(f"{form} in {out}")
