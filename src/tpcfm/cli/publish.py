"""``tpcfm publish``."""

from pathlib import Path

import typer

from tpcfm.cli.predict import MODEL, RESULTS

TO = typer.Option(
    ..., "--to", help="Folder to write, or hf:OWNER/NAME to upload to Hugging Face (pip install 'tpcfm[hub]')."
)


def command(
    model: str = MODEL,
    to: str = TO,
    name: str = typer.Option("", help="What the card says to load, if not --to: hf:OWNER/NAME."),
    licence: str = typer.Option(
        "apache-2.0", "--license", "--licence", help="Of the weights, as Hugging Face names it."
    ),
    private: bool = typer.Option(False, "--private", help="Make a new repository private."),
    results: Path = RESULTS,
) -> None:
    """Publish a model in the layout of Hugging Face, with a model card: tpcfm publish MODEL --to hf:OWNER/NAME"""
    from tpcfm.inference.names import model_folder
    from tpcfm.inference.share.publish import publish

    place = publish(model_folder(model, results), to, name=name, licence=licence, private=private)
    print(f"published; load it with: tpcfm.load({place!r})")
