"""A head on labels of one's own files, on a trained backbone: from raw files to a model directory, without a configuration."""

import shutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tpcfm.config.base import LabelCount
from tpcfm.config.sources import expand, part_name
from tpcfm.config.splits import hash_split
from tpcfm.config.text import explain
from tpcfm.config.training import TrainConfig
from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.errors import ConfigError
from tpcfm.events.job import ingest_file
from tpcfm.files import read_json, write_json
from tpcfm.models.tuning.settings import Tuning, Way
from tpcfm.plan.run import Run
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups import cache as groups
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.sequences import cache as sequences
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.systems.architectures import HeadRequest, architecture_of
from tpcfm.workspace import Workspace

OWN = "own"
"""Dataset and cache of the given files."""
SHARES = (0.15, 0.15)
"""Of the events for validation and test, by a hash of their ids."""


def adapt(
    backbone: Path,
    files: Iterable[str | Path],
    label: str,
    out: Path,
    *,
    detector: Detector,
    mode: Way = "frozen",
    tuning: Mapping[str, Any] | None = None,
    events: LabelCount = "all",
    seed: int = 0,
    device: str | None = None,
    **training: Any,
) -> Path:
    """Train a head, with as much of the backbone as wanted; a second call with the same arguments continues or returns what is there.

    Args:
        backbone: model directory of a pretraining.
        files: raw files with the label, or globs of them.
        label: label column of the detector.
        out: folder to write to, a results folder of its own: event tables, cache, training state, ``runs/<id>``.
        detector: says how the files are read; ranges and scaling of its signal are the backbone's.
        mode, tuning: see `tpcfm.models.tuning.settings`.
        events: labelled training events.
        seed, device: of the training.
        training: further settings of the training (`tpcfm.config.training.Training`).

    Returns:
        The model directory. It lies beside a copy of the backbone and needs no other file.

    Raises:
        CheckpointError: no pretrained backbone, or one that does not fit the events.
        ConfigError: no such file, label, mode or setting.
        DataError: a file is damaged, or too few events carry the label.
        Interrupted: stopped by a signal; the same call continues.
    """
    config = read_json(backbone / "config.json")
    family = architecture_of(config, backbone, "features").module
    found = detector.labels.get(label)
    if found is None:
        raise ConfigError(f"label {label!r}: {detector.name} has {', '.join(detector.labels) or 'none'}")
    try:
        request = HeadRequest(
            label=label,
            classes=len(found.values) if isinstance(found, ClassLabel) else 0,
            mode=mode,
            tuning=Tuning.model_validate(tuning or {}),
            n_labels=events,
            train=TrainConfig.model_validate({"steps": 500, "batch_size": 8, "learning_rate": 1e-3, **training}),
            seed=seed,
        )
    except ValidationError as error:
        raise ConfigError(explain(error)) from error
    space = Workspace(out)
    _prepare([str(path) for path in files], detector, config, space)
    if not space.run(backbone.name).exists():
        shutil.copytree(backbone, space.run(backbone.name))
    recipe, block = family.head_settings(config, request)
    run = Run(
        slug=f"{label.lower()}-{mode}-{events}-s{seed}",
        stage="finetune",
        family=recipe.partition(".")[0],
        recipe=recipe,
        task=label,
        dataset=OWN,
        cache=OWN,
        pretrained=backbone.name,
        n_labels=events,
        seed=seed,
        **Run.resolved(block),
    )
    if not space.finished(run.id):
        import_module(f"tpcfm.systems.{recipe}").run(run, space, device=device)
    return space.run(run.id)


def _prepare(files: list[str], detector: Detector, config: Mapping[str, Any], space: Workspace) -> None:
    """Write event tables and cache as the backbone reads them; what is there is kept."""
    detector = detector.with_scaling(Detector.model_validate(config["detector"]).signal_scaling())
    edges = space.edges(OWN)
    if "tokenizer" not in config:
        write_json(edges, config["edges"])
    for path in expand(files, must_exist="files"):
        part = part_name(path)
        table, arrow = space.event_table(OWN, part), space.cache_part(OWN, part)
        if not table.exists():
            ingest_file(path, detector, OWN, table, space.rejected(OWN, part), lambda name: hash_split(name, *SHARES))
        if arrow.exists():
            continue
        if "tokenizer" in config:
            groups.write_part(table, arrow, TokenizerConfig.model_validate(config["tokenizer"]))
        else:
            order = SerializationConfig.model_validate(config["serialization"])
            sequences.write_part(table, edges, arrow, order, TargetConfig(objective="next_token"), stored=False)
    write_manifest(space.cache(OWN), name=OWN, detector=detector, edges=edges if edges.exists() else None)
