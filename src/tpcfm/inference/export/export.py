"""Exporting a trained model: its network as one file, compared with the live network before anything is left behind."""

import importlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from tpcfm.errors import CheckpointError, ConfigError, MachineError
from tpcfm.files import write_json
from tpcfm.inference.engine import Engine, check_labels
from tpcfm.inference.export.exported import RECORD, ExportedModel
from tpcfm.inference.export.formats import FORMATS
from tpcfm.inference.export.sample import sample_events
from tpcfm.inference.share.bundle import stand_alone
from tpcfm.inference.stream import prepare_batch
from tpcfm.prepare.packing import Batch
from tpcfm.systems.architectures import architecture_of
from tpcfm.tasks.answers import Answer
from tpcfm.tasks.traceable import NotTraceable, Traceable, input_of
from tpcfm.train import to_device
from tpcfm.train.provenance import versions

WEIGHTS_ALONE = "safetensors"
NAMES = (*FORMATS, WEIGHTS_ALONE)
EVENTS = 3
TOLERANCE = 1e-3
"""Largest difference of a score; what the features' half precision and another order of sums leave is a hundredth of it."""
FEW = 1e-3
"""Share of points whose label may differ, where two are as probable to within that tolerance."""


@dataclass(frozen=True)
class Difference:
    """Exported against live network, on the events together and on the first alone.

    Attributes:
        label: which.
        points: compared.
        labels_differ: points with another label.
        score: largest difference of the scores.
    """

    label: str
    points: int
    labels_differ: int
    score: float


def export_model(
    folder: str | Path, out: str | Path, form: str = "torch-export", events: str | Path | None = None
) -> list[Difference]:
    """Write a folder that needs nothing beside it: model directory, network, ``export.json`` and an example.

    ``export.json`` names inputs with type, axes and order, and outputs. ``example/`` holds both for three events as raw numbers,
    one file each, with ``inputs.txt`` and ``outputs.txt`` (name, type, shape).

    Args:
        folder: model directory.
        out: new folder, or one that an export has written.
        form: of `NAMES`; ``safetensors`` is the model directory alone.
        events: raw file or event table whose first three accepted events the networks are compared on; without one they are made up.

    Returns:
        The differences.

    Raises:
        CheckpointError: a model without labels, a network that cannot be exported (the operator is named), or one that answers
            otherwise than the live one (nothing is left).
        ConfigError: no such format, or the folder holds something else.
        DataError: no three events that the model takes.
        MachineError: a package or compiler is missing.
    """
    if form not in NAMES:
        raise ConfigError(f"--format {form!r}; allowed: {', '.join(NAMES)}")
    out = Path(out)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).is_file())):
        raise ConfigError(f"--out {out}: is there and no export; name a new folder")
    live = Engine(folder, "cpu")
    check_labels(live)
    network = None if form == WEIGHTS_ALONE else _traceable(live)
    found = sample_events(live.detector, EVENTS, lambda e: not isinstance(live.preparation(e.columns or {}), str),
                          None if events is None else Path(events))  # fmt: skip
    batches = [prepare_batch(some, live.preparation, live.predictor.collate).batch for some in (found, found[:1])]
    known = [_live(live, batch) for batch in batches if batch is not None]
    with tempfile.TemporaryDirectory(dir=_parent(out)) as place:
        made = stand_alone(folder, Path(place) / "export")
        record: dict[str, Any] = {"format": form, "model": live.fingerprint, "versions": versions()}
        if form == WEIGHTS_ALONE:
            answers = [_live(Engine(made, "cpu"), batch) for batch in batches if batch is not None]
        else:
            tensors = to_device(batches[0] or {}, live.device)
            assert network is not None
            record |= _write(network, form, made, {name: input_of(name, tensors) for name in network.inputs})
            write_json(made / RECORD, record)
            exported = ExportedModel(made)
            answers = [exported.answers(to_device(batch, exported.device)) for batch in batches if batch is not None]
            _example(made / "example", record["inputs"], tensors, exported)
        differences = [_difference(label, known, answers) for label in live.labels]
        write_json(made / RECORD, {**record, "checked": [asdict(difference) for difference in differences]})
        _refuse(Path(folder), form, differences)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(made, out)
    return differences


def _parent(out: Path) -> Path:
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{out}: cannot be made: {error.strerror or error}") from error
    return out.absolute().parent


@torch.no_grad()
def _live(model: Engine, batch: Batch) -> dict[str, Answer]:
    return model.predictor.answer(batch, to_device(batch, model.device))


def _traceable(model: Engine) -> Traceable:
    module = architecture_of(model.config, model.folder, "prediction").module
    found: Traceable | NotTraceable = module.traceable(model.folder, model.preparation.hold([]))
    if isinstance(found, NotTraceable):
        raise CheckpointError(
            f"{model.folder}: a network of architecture {model.config['architecture']!r} cannot be exported: {found.operator}. "
            f"`--format {WEIGHTS_ALONE}` writes its weights"
        )
    return found


def _write(network: Traceable, form: str, folder: Path, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Trace a network and write it; return what ``export.json`` says of it."""
    FORMATS[form].check()
    with quietly():
        FORMATS[form].write(traced(network, inputs), network, folder / FORMATS[form].file)
    axes = {name: [*named, *[""] * (inputs[name].dim() - len(named))] for name, named in network.inputs.items()}
    return {
        "network": FORMATS[form].file,
        "inputs": {
            name: {
                "type": str(tensor.dtype).removeprefix("torch."),
                "shape": [axis or size for axis, size in zip(axes[name], tensor.shape, strict=True)],
            }
            for name, tensor in inputs.items()
        },
        "outputs": list(network.outputs),
    }


@torch.no_grad()
def traced(network: Traceable, inputs: Mapping[str, Tensor]) -> ExportedProgram:
    """Return the graph of a network whose named axes may have any length from 1 on.

    Raises:
        CheckpointError: an operator cannot be traced.
    """
    tracing: Any = importlib.import_module("torch.fx.experimental._config")

    shapes = tuple({i: Dim.DYNAMIC for i, axis in enumerate(axes) if axis} for axes in network.inputs.values())
    try:
        # Without this a length of 1 would become a case of its own, and one event alone could not be asked for.
        with tracing.patch(backed_size_oblivious=True):
            return torch.export.export(network.network, tuple(inputs.values()), dynamic_shapes=(shapes,), strict=False)
    except Exception as error:  # torch raises errors of many classes
        raise CheckpointError(f"the network cannot be traced: {next(iter(str(error).splitlines()), error)}") from error


@contextmanager
def quietly() -> Any:
    """Keep the chatter of tracers and writers off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _difference(label: str, known: list[dict[str, Answer]], found: list[dict[str, Answer]]) -> Difference:
    values = [np.concatenate([answer[label].values for answer in some]) for some in (known, found)]
    scores = [[answer[label].score for answer in some] for some in (known, found)]
    furthest = max(
        float(np.abs(a - b).max()) for a, b in zip(*scores, strict=True) if a is not None and b is not None
    ) if scores[0][0] is not None else 0.0  # fmt: skip
    return Difference(label, len(values[0]), int((values[0] != values[1]).sum()), furthest)


def _refuse(folder: Path, form: str, differences: list[Difference]) -> None:
    for found in differences:
        if not found.score <= TOLERANCE or found.labels_differ > FEW * found.points:
            raise CheckpointError(
                f"{folder}: the network exported as {form} answers otherwise than the live one: {found.label} of "
                f"{found.labels_differ} of {found.points} points, scores by up to {found.score:.2g} (allowed: {TOLERANCE:g}, "
                f"{FEW:g} of the points). Nothing was written; please report it"
            )


def _example(folder: Path, inputs: Mapping[str, Any], tensors: Mapping[str, Tensor], model: ExportedModel) -> None:
    given = {name: input_of(name, tensors) for name in inputs}
    answers = zip(model.record["outputs"], model.run(given), strict=True)
    _numbers(folder, "inputs", {name: tensor.cpu().numpy() for name, tensor in given.items()})
    _numbers(folder, "outputs", dict(answers))


def _numbers(folder: Path, kind: str, arrays: Mapping[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.ascontiguousarray(array).tofile(folder / f"{name}.bin")
    lines = [f"{name} {array.dtype} {' '.join(map(str, array.shape))}\n" for name, array in arrays.items()]
    (folder / f"{kind}.txt").write_text("".join(lines), encoding="utf-8")
