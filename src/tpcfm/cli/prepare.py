"""``tpcfm prepare``: event tables → memory-mapped caches of groups or sequences."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Turn event tables into memory-mapped training caches.")

Config = Annotated[str, typer.Option(help="Settings as JSON text, or a JSON file; defaults are the paper's.")]


def _settings(given: str, option: str = "--config") -> dict[str, Any]:
    """Read a JSON object given as text or as the name of a file."""
    import json

    from tpcfm.errors import ConfigError
    from tpcfm.files import read_json

    try:
        value = json.loads(given) if given.lstrip().startswith("{") else read_json(given)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{option}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{option}: a JSON object is needed, found {type(value).__name__}")
    return value


def _block(kind: Any, given: str, option: str = "--config") -> Any:
    """Check settings against a configuration block."""
    from pydantic import ValidationError

    from tpcfm.errors import ConfigError

    try:
        return kind.model_validate(_settings(given, option))
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc'])) or kind.__name__} = {e['input']!r}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError(f"{option}: " + "; ".join(lines)) from error


@app.command()
def groups(
    events: Annotated[Path, typer.Argument(help="Event table (Parquet, PILArNet-M layout).")],
    out: Annotated[Path, typer.Option(help="Part to write (.arrow).")],
    config: Config = "{}",
) -> None:
    """Tokenize one event table into one part of a groups cache (PoLAr-MAE)."""
    from tpcfm.config.polar_mae import TokenizerConfig
    from tpcfm.prepare.group_cache import write_part

    counts = write_part(events, out, _block(TokenizerConfig, config))
    print(f"{out}: {counts['events']} events, {counts['tokens']} groups, {counts['rejected']} events rejected")


@app.command("fit-edges")
def fit_edges(
    events: Annotated[list[Path], typer.Argument(help="Event tables (Parquet, TPCpp-10M layout).")],
    out: Annotated[Path, typer.Option(help="Bin edges to write (edges.json).")],
    config: Config = "{}",
) -> None:
    """Fit the bin edges of the serialization on the training events of all tables (FM4NPP)."""
    from tpcfm.config.fm4npp import SerializationConfig
    from tpcfm.prepare import sequence_cache

    sequence_cache.fit_edges(events, out, _block(SerializationConfig, config))
    print(f"{out}: bin edges from {len(events)} event table(s)")


@app.command()
def sequences(
    events: Annotated[Path, typer.Argument(help="Event table (Parquet, TPCpp-10M layout).")],
    edges: Annotated[Path, typer.Option(help="Bin edges (edges.json), from `tpcfm prepare fit-edges`.")],
    out: Annotated[Path, typer.Option(help="Part to write (.arrow).")],
    config: Config = "{}",
    targets: Annotated[str, typer.Option(help="Settings of the targets, JSON text or a JSON file.")] = "{}",
) -> None:
    """Serialize one event table into one part of a sequences cache, with its neighbour targets (FM4NPP)."""
    from tpcfm.config.fm4npp import SerializationConfig, TargetConfig
    from tpcfm.prepare import sequence_cache

    serialization = _block(SerializationConfig, config)
    sequence_cache.write_part(events, edges, out, serialization, _block(TargetConfig, targets, "--targets"))
    print(f"{out}: written")


@app.command()
def manifest(
    folder: Annotated[Path, typer.Option(help="Folder of the parts.")],
    cache: Annotated[str, typer.Option(help="Name of the cache.")],
    out: Annotated[Path | None, typer.Option(help="Must be FOLDER/manifest.json, which is the default.")] = None,
    config: Annotated[
        str, typer.Option(help="Settings that the groups must have been made with (JSON, or a file).")
    ] = "",
) -> None:
    """Join the parts of a cache: manifest, fingerprint, statistics, and the index of lengths and splits."""
    from tpcfm.config.polar_mae import TokenizerConfig
    from tpcfm.errors import ConfigError
    from tpcfm.prepare.cache import write_manifest
    from tpcfm.prepare.group_cache import group_statistics

    if out is not None and out.absolute() != (folder / "manifest.json").absolute():
        raise ConfigError(f"--out {out}: a manifest lies beside its parts: {folder / 'manifest.json'}")
    expected = _block(TokenizerConfig, config).model_dump(mode="json") if config else None
    made = write_manifest(folder, name=cache, settings=expected, statistics={"groups": group_statistics})
    print(
        f"{folder / 'manifest.json'}: {made['events']} events in {len(made['parts'])} part(s), {made['fingerprint'][:12]}"
    )
