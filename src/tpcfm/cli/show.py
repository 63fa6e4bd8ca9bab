"""``tpcfm show``."""

from enum import StrEnum
from pathlib import Path

import typer


class PictureKind(StrEnum):
    """What to draw of an event that a trained model has seen."""

    prediction = "prediction"
    segmentation = "segmentation"
    attention = "attention"
    reconstruction = "reconstruction"
    features = "features"
    order = "order"


MODEL = "With --run"
ATTENTION = "With --picture attention"
MASKED = "With --picture reconstruction"


def command(
    file: Path = typer.Argument(
        ...,
        help="Event table or predictions table (.parquet), raw file (with --detector or --run); with --run also the folder of a cache.",
    ),
    event: int = typer.Option(0, help="Row of the event in the file."),
    color: list[str] = typer.Option(
        [],
        help="Label, signal or x, y, z; several become buttons; default: all labels and signals. With --run: the predicted label, "
        "where there are several.",
    ),
    detector: str | None = typer.Option(
        None,
        help="Detector of a raw file: a name (`tpcfm detector list`) or a YAML file; tables say theirs, and so does a model.",
    ),
    run: list[Path] = typer.Option(
        [],
        help="Model directory (results/runs/<id>); give it several times to see runs side by side.",
        rich_help_panel=MODEL,
    ),
    picture: PictureKind | None = typer.Option(
        None,
        help="prediction (or segmentation): truth, prediction, difference; attention, reconstruction of masked groups, "
        "features as colours: pretrained runs; order: the serializations. Default: what fits the run.",
        rich_help_panel=MODEL,
    ),
    layer: int | None = typer.Option(None, help="Layer, from 1; default: a menu of all.", rich_help_panel=ATTENTION),
    head: int | None = typer.Option(None, help="Head, from 1; default: a menu of all.", rich_help_panel=ATTENTION),
    token: list[int] = typer.Option(
        [], help="Query token, from 0; may be repeated; default: one per class.", rich_help_panel=ATTENTION
    ),
    mask_ratio: float = typer.Option(0.6, help="Share of the groups that is masked.", rich_help_panel=MASKED),
    seed: int = typer.Option(0, help="Draws the masked groups.", rich_help_panel=MASKED),
    out: Path = typer.Option(
        Path("event.html"), help="HTML (rotatable, opens without a network), or .png, .svg, .pdf for a still."
    ),
) -> None:
    """Draw one event: its labels, or with --run what trained models make of it."""
    from tpcfm.detectors.registry import load_detector
    from tpcfm.errors import ConfigError
    from tpcfm.report.show_checks import check_output, check_source

    check_output(out)
    opened_by = load_detector(detector) if detector else None
    if not run:
        asked = [n for n, v in (("--picture", picture), ("--layer", layer), ("--head", head)) if v is not None]
        if asked or token:
            raise ConfigError(f"{(asked or ['--token'])[0]} needs a model: give its directory with --run")
        check_source(file, model=False, raw=detector is not None)
        from tpcfm.report.show import show_event

        title, points = show_event(file, event, color, out, opened_by)
        print(f"{out}: {title}, {points} points")
        return
    if len(color) > 1:
        raise ConfigError(f"--color: {len(color)} given; with --run it names the one label to show")
    check_source(file, model=True)
    from tpcfm.inference.picture_choice import choose_picture
    from tpcfm.systems.architectures import Choice

    wanted = picture.value if picture else ""
    shown, _ = choose_picture(run, wanted)
    if color and shown != "prediction":
        raise ConfigError(f"--color: the picture {shown!r} has colours of its own")
    choice = Choice(layer, head, token, mask_ratio, seed, color[0] if color else None)
    from tpcfm.inference.picture_data import picture_data
    from tpcfm.report.show import show_model

    data = picture_data(file, event, run, wanted, choice, opened_by)
    show_model(data, out)
    print(f"{out}: {data['picture']} of {data['event_id']}, {data['points']} points")
