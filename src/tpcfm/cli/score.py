"""``tpcfm score``: scores of a model on files with labels, without training."""

from pathlib import Path

import typer

from tpcfm.cli.predict import BATCH_POINTS, DEVICE, MODEL, RESULTS, WORKERS


def command(
    model: str = MODEL,
    files: list[str] = typer.Argument(
        ...,
        help="Raw files, event tables, or a folder of event tables, of the model's detector, with labels; globs are expanded.",
    ),
    released: bool = typer.Option(
        False,
        "--released",
        help="Published weights (tpcfm import-...): the scores stand in the ledger of the results folder.",
    ),
    stands_for: str | None = typer.Option(
        None,
        "--as",
        help="What the weights are in the ledger, such as 'm6 pretrained' (a wrong name lists all); needed with --released.",
    ),
    labels: str = typer.Option("all", help="Labelled events that their head was trained on; with --released."),
    scale: str = typer.Option(
        "own",
        help="paper, if the files are the test events of the public release: only then is a number called reproduced.",
    ),
    split: str = typer.Option("test", help="Which events of event tables count; all those of raw files do."),
    out: Path | None = typer.Option(None, help="Metrics table to write, without --released."),
    device: str | None = DEVICE,
    workers: int = WORKERS,
    batch_points: int = BATCH_POINTS,
    results: Path = RESULTS,
) -> None:
    """Score a trained model, or imported published weights, on files with labels: every label it predicts, in one call."""
    from tpcfm.errors import ConfigError

    if released and not stands_for:
        raise ConfigError("--released needs --as: what the weights stand for in the ledger; a wrong name lists all")
    if scale not in ("own", "paper"):
        raise ConfigError(f"--scale {scale!r}: allowed are own and paper")
    if labels != "all" and not labels.isdigit():
        raise ConfigError(f"--labels {labels!r}: allowed are whole numbers, and all")
    from tpcfm.config.sources import expand
    from tpcfm.evaluate.sources import write_sources
    from tpcfm.evaluate.table import metrics_frame, write_metrics
    from tpcfm.files import write_json
    from tpcfm.inference.model import load
    from tpcfm.inference.score import score_files
    from tpcfm.workspace import Workspace

    if released:
        _check_place(str(stands_for))
    opened = load(model, device=device, results=results)
    found = [path for name in files for path in _tables(Path(name)) or map(Path, expand([name], "files"))]
    rows = score_files(opened, found, split, batch_points=batch_points, workers=workers)
    name = opened.folder.resolve().name
    count = int(labels) if labels.isdigit() else -1
    common = {
        "run": name,
        "family": opened.architecture.path.split(".")[2],
        "dataset": ", ".join(p.name for p in found[:3]),
    }
    rows = [{**common, **row, "n_labels": count} for row in rows]
    if released:
        folder = Workspace(results).scored(name)
        place = {
            "point": stands_for,
            "scale": scale,
            "detector": opened.detector.name,
            "n_labels": count if count > 0 else "all",
        }
        write_metrics(folder / "metrics.parquet", rows)
        write_json(folder / "score.json", {**place, "files": [str(p) for p in found], "weights": opened.fingerprint})
        write_sources(folder, [])
        print(f"{folder}: the scores stand in `tpcfm ledger --results {results}`")
    elif out is not None:
        write_metrics(out, rows)
    frame = metrics_frame(rows)
    for row in frame[frame["class"] == ""].to_dict("records"):
        interval = f" [{row['low']:.4f}, {row['high']:.4f}]" if row["low"] == row["low"] else ""
        print(f"{row['task']:12} {row['metric']:28} {row['value']:.6g}{interval}")


def _tables(folder: Path) -> list[Path]:
    """Return the event tables in a folder; none for a file."""
    return (
        [p for p in sorted(folder.glob("*.parquet")) if not p.name.endswith(".rejected.parquet")]
        if folder.is_dir()
        else []
    )


def _check_place(point: str) -> None:
    """Stop unless a rule of the ledger names such a point."""
    from fnmatch import fnmatchcase

    from tpcfm.errors import ConfigError
    from tpcfm.report.published.printed import numbers

    known = dict.fromkeys(
        rule.point for n in numbers() for rule in n.rules if rule.study.startswith(("heads_", "baselines_"))
    )
    if not any(fnmatchcase(point, name) for name in known):
        raise ConfigError(f"--as {point!r}: the ledger knows {', '.join(known)}")
