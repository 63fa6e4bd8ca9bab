"""``tpcfm prepare``: event tables → memory-mapped caches of groups or sequences."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Turn event tables into memory-mapped training caches.")


class Neighbours(StrEnum):
    """Where the neighbour targets of a sequence come from."""

    stored = "stored"
    loader = "loader"


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
    """Check settings, given as text or as the name of a file, against a configuration block."""
    return _checked(kind, _settings(given, option), option)


def _checked(kind: Any, settings: dict[str, Any], option: str) -> Any:
    from pydantic import ValidationError

    from tpcfm.errors import ConfigError

    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc'])) or kind.__name__} = {e['input']!r}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError(f"{option}: " + "; ".join(lines)) from error


def _tables(*events: Path) -> None:
    from tpcfm.files import require_file

    for table in events:
        require_file(table, "an event table (.parquet), as `tpcfm ingest` writes it")


@app.command()
def groups(
    events: Annotated[Path, typer.Argument(help="Event table (Parquet) of any detector.")],
    out: Annotated[Path, typer.Option(help="Part to write (.arrow).")],
    config: Config = "{}",
    device: Annotated[
        str,
        typer.Option(
            help="cpu: compiled kernels. cuda, cuda:N: the same groups with neighbour searches on a GPU, by pytorch3d where it is "
            "installed and agrees, else by PyTorch."
        ),
    ] = "cpu",
) -> None:
    """Tokenize one event table into one part of a groups cache (PoLAr-MAE)."""
    from tpcfm.prepare.groups.settings import TokenizerConfig

    settings = _block(TokenizerConfig, config)
    _tables(events)
    from tpcfm.prepare.groups.cache import write_part

    if device == "cpu":
        counts = write_part(events, out, settings)
    else:
        from tpcfm.systems.polar_mae.device_grouping import device_tokenizer

        counts = write_part(events, out, settings, device_tokenizer(device))
    print(f"{out}: {counts['events']} events, {counts['tokens']} groups, {counts['rejected']} events rejected")


@app.command("fit-edges")
def fit_edges(
    events: Annotated[list[Path], typer.Argument(help="Event tables (Parquet) of one detector.")],
    out: Annotated[Path, typer.Option(help="Box edges to write (edges.json).")],
    config: Config = "{}",
) -> None:
    """Fit the box edges of the serialization, and an automatic signal scaling, on the training events of all tables (FM4NPP)."""
    from tpcfm.prepare.sequences.settings import SerializationConfig

    settings = _block(SerializationConfig, config)
    _tables(*events)
    from tpcfm.prepare.sequences import cache as sequence_cache
    from tpcfm.prepare.sequences.serialization import BoxEdges

    sequence_cache.fit_edges(events, out, settings)
    edges = BoxEdges.load(out)
    boxes = " x ".join(map(str, edges.bins))
    print(
        f"{out}: {boxes} boxes in {', '.join(edges.axes)} from {edges.n_events} training events of {len(events)} event table(s)"
    )


@app.command("model-edges")
def model_edges(
    model: Annotated[Path, typer.Argument(help="Model directory of an FM4NPP backbone.")],
    out: Annotated[Path, typer.Option(help="Box edges to write (edges.json).")],
) -> None:
    """Take the box edges that a trained or imported backbone carries, to prepare other events in its order (FM4NPP)."""
    from tpcfm.errors import CheckpointError
    from tpcfm.files import write_json
    from tpcfm.train import load_config

    edges = load_config(model).get("edges")
    if not edges:
        raise CheckpointError(f"{model}: config.json holds no box edges (`edges`); is it an FM4NPP backbone?")
    write_json(out, edges)
    print(f"{out}: box edges of {model}")


@app.command()
def sequences(
    events: Annotated[Path, typer.Argument(help="Event table (Parquet) of any detector.")],
    edges: Annotated[Path, typer.Option(help="Box edges (edges.json), from `tpcfm prepare fit-edges`.")],
    out: Annotated[Path, typer.Option(help="Part to write (.arrow).")],
    config: Annotated[str, typer.Option(help='JSON text or file: {"serialization": {…}, "targets": {…}}.')] = "{}",
    neighbours: Annotated[
        Neighbours, typer.Option(help="Neighbour targets: kept in the part, or left to the loader (small disks).")
    ] = Neighbours.stored,
) -> None:
    """Serialize one event table into one part of a sequences cache, with its neighbour targets (FM4NPP)."""
    from tpcfm.files import require_file

    blocks = _sequence_blocks(config)
    _tables(events)
    require_file(edges, "the file of box edges that `tpcfm prepare fit-edges` writes")
    from tpcfm.prepare.sequences import cache as sequence_cache

    counts = sequence_cache.write_part(events, edges, out, *blocks, stored=neighbours is Neighbours.stored)
    print(f"{out}: {counts['events']} events, {counts['points']} points, {counts['rejected']} events rejected")


def _sequence_blocks(given: str) -> tuple[Any, Any]:
    """Return serialization and target settings of a sequences cache."""
    from tpcfm.errors import ConfigError
    from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig

    settings = _settings(given)
    unknown = set(settings) - {"serialization", "targets"}
    if unknown:
        raise ConfigError(f"--config: unknown keys {sorted(unknown)}; allowed: serialization, targets")
    return (
        _checked(SerializationConfig, settings.get("serialization", {}), "--config serialization"),
        _checked(TargetConfig, settings.get("targets", {}), "--config targets"),
    )


@app.command()
def manifest(
    folder: Annotated[Path, typer.Option(help="Folder of the parts.")],
    cache: Annotated[str, typer.Option(help="Name of the cache.")],
    out: Annotated[Path | None, typer.Option(help="Must be FOLDER/manifest.json, which is the default.")] = None,
    config: Annotated[str, typer.Option(help="Settings the parts must have been made with: JSON text or a file.")] = "",
    edges: Annotated[Path | None, typer.Option(help="Box edges of a sequences cache; copied beside the parts.")] = None,
) -> None:
    """Join the parts of a cache: manifest, fingerprint, statistics, and the index of lengths and splits."""
    from tpcfm.errors import ConfigError

    target = folder / "manifest.json"
    if out is not None and out.absolute() != target.absolute():
        raise ConfigError(f"--out {out}: a manifest lies beside its parts: {target}")
    expected = _expected_settings(config, edges) if config else None
    from tpcfm.prepare.cache import write_manifest
    from tpcfm.prepare.groups.cache import group_statistics
    from tpcfm.prepare.sequences.coherence import sequence_statistics

    statistics = {"groups": group_statistics, "sequences": sequence_statistics}
    made = write_manifest(folder, name=cache, settings=expected, edges=edges, statistics=statistics)
    print(f"{target}: {made['events']} events in {len(made['parts'])} part(s), fingerprint {made['fingerprint'][:12]}")
    size = made["statistics"].get("group_size", {}).get("mean", 0.0)
    if size:
        print(
            f"{size:.1f} points per token in the mean, {made['statistics']['missed_share']:.1%} of the points in none"
        )
    if 0 < size < 2:
        print(
            "tpcfm: warning: most tokens hold a single point, so there is no shape to learn: a larger `pitch` in the "
            "detector file or a larger `tokenizer: radius` (in units of the pitch) makes larger ones",
            file=sys.stderr,
        )


def _expected_settings(config: str, edges: Path | None) -> dict[str, Any]:
    """Return the settings that every part must carry: of sequences if there are box edges, of groups otherwise."""
    if edges is None:
        from tpcfm.prepare.groups.settings import TokenizerConfig

        return dict(_block(TokenizerConfig, config).model_dump(mode="json"))
    from tpcfm.prepare.sequences.cache import cache_settings
    from tpcfm.prepare.sequences.serialization import BoxEdges

    return cache_settings(BoxEdges.load(edges), *_sequence_blocks(config))


@app.command()
def verify(folder: Annotated[Path, typer.Argument(help="Folder of a cache.")]) -> None:
    """Compare every part of a cache with the checksums of its manifest."""
    from tpcfm.prepare.store import PreparedStore

    store = PreparedStore(folder)
    store.verify()
    print(f"{folder}: {len(store.manifest['parts'])} part(s) as written, {len(store)} events")
