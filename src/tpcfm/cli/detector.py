"""``tpcfm detector``: which detectors there are, and a file for one of your own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tpcfm.detectors.model import Detector

app = typer.Typer(
    no_args_is_help=True, help="Detectors: list and show those there are; draft and check a file of your own."
)


def _lacks(detector: "Detector") -> list[str]:
    """Say what a model family misses in a detector; none of it keeps one from running."""
    found = [] if detector.signal else ["no signal: networks see 0"]
    found += [] if detector.labels else ["no labels: pretraining only"]
    found += [] if detector.layers else ["no layers: outwards by distance in steps of the pitch"]
    return found


@app.command("list")
def list_() -> None:
    """List the detectors that have a name; all model families run on each, also without what it lacks."""
    from tpcfm.detectors.registry import built_in, load_detector, plugins

    for name in [*built_in(), *sorted(set(plugins()) - set(built_in()))]:
        d = load_detector(name)
        labels = ", ".join(f"{label} ({about.kind})" for label, about in d.labels.items())
        signal = ", ".join(f"{signal.name} ({signal.unit})" for signal in d.signal)
        origin = "built in" if name in built_in() else f"plugin {plugins()[name].value}"
        print(f"{name}: {d.title or name} ({origin}, reader {d.read.reader})")
        print(f"  signal: {signal or 'none'}\n  labels (tasks): {labels or 'none'}")
        print(f"  families: all{''.join(f'; {lack}' for lack in _lacks(d))}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a detector, or FILE.yaml.")]) -> None:
    """Print a detector as YAML, with all that it does not leave at a default."""
    import yaml

    from tpcfm.detectors.registry import load_detector

    detector = load_detector(name)
    plain = detector.model_dump(mode="json", exclude_defaults=True)
    print(f"# hash {detector.hash}" + "".join(f"\n# {line}" for line in _lacks(detector)))
    print(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True), end="")


@app.command()
def init(
    files: Annotated[
        list[Path], typer.Argument(help="Data files of one kind: Parquet, Feather, CSV, npz, HDF5, ROOT.")
    ],
    out: Annotated[Path, typer.Option(help="Detector file to write; its name becomes the detector's.")] = Path(
        "mydetector.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Draft a commented detector file from data files: columns, ranges, unit, frame, spacing, labels; guesses are marked."""
    import re

    import yaml

    from tpcfm.detectors.registry import check_detector, is_file_name
    from tpcfm.errors import ConfigError
    from tpcfm.files import write_text
    from tpcfm.readers.columns.draft import draft_detector
    from tpcfm.readers.kinds import require_data_file

    if not is_file_name(str(out)):
        raise ConfigError(f"--out {out}: a detector file ends in .yaml")
    if out.exists() and not force:
        raise ConfigError(f"--out {out}: exists already; --force replaces it")
    for file in files:
        require_data_file(file)
    name = re.sub(r"[^a-z0-9_]+", "_", out.stem.lower())
    text = draft_detector(files, name if name[:1].isalpha() else f"detector_{name}")
    check_detector(yaml.safe_load(text), str(out))
    write_text(out, text)
    print(f"{out}: drafted; read it, then: tpcfm detector check {out} {' '.join(map(str, files))}")


@app.command()
def check(
    detector: Annotated[str, typer.Argument(help="FILE.yaml, or the name of a detector.")],
    files: Annotated[list[Path], typer.Argument(help="Raw files to read.")],
    picture: Annotated[Path | None, typer.Option(help="Draw one event here (PNG).")] = None,
) -> None:
    """Read files and say what came out: events, points, rejected events with reasons, label values; exit code 1 if no event is good."""
    from tpcfm.detectors.registry import load_detector
    from tpcfm.events.inspect import draw_example, inspect_files

    found = inspect_files(files, load_detector(detector))
    print("\n".join(found.lines()))
    if not found.events:
        raise typer.Exit(1)
    if picture is not None:
        draw_example(found, picture)
        print(f"{picture}: one event")
