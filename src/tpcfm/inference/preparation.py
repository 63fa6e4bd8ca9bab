"""From an event of a file to what a trained model sees, in memory: the cuts, groups or order that its ``config.json`` says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError, DataError
from tpcfm.prepare.groups import cache as group_cache
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.held import HeldEvents
from tpcfm.prepare.points import Event, problem
from tpcfm.prepare.sequences import cache as sequence_cache
from tpcfm.prepare.sequences.serialization import BoxEdges
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig

Config = Mapping[str, Any]
NO_TARGETS = TargetConfig(objective="next_token")
"""Nothing is trained here: no neighbours are looked for."""


@dataclass(frozen=True)
class Preparation:
    """How a model's events are prepared; called with an event it returns a row of its cache, or why it takes no such event.

    Attributes:
        detector: of the model, with the signal scaling of its training.
        manifest: ``kind``, ``settings``, ``detector`` and perhaps ``edges``, as a cache of such events would hold them.
        kinds: element type of every list column.
        make: an event that is sound to its row, or the reason to leave it out.
    """

    detector: Detector
    manifest: dict[str, Any]
    kinds: dict[str, Any]
    make: Callable[[Event], dict[str, Any] | str]

    def __call__(self, event: Event) -> dict[str, Any] | str:
        """Prepare an event as `tpcfm.events.read.read_events` yields it: the row is what a cache on disk would hold."""
        made = problem(event, self.detector) or self.make(event)
        if isinstance(made, str):
            return made
        return {
            name: value if value is None or name not in self.kinds else np.asarray(value, self.kinds[name])
            for name, value in made.items()
        }

    def hold(self, events: Sequence[dict[str, Any]], source: str | Path = "events in memory") -> HeldEvents:
        """Return prepared events as a store."""
        return HeldEvents(self.manifest, self.detector, events, source)


def preparation(config: Config) -> Preparation:
    """Return how the events of a model are prepared.

    Args:
        config: ``config.json`` of the model directory: its detector and tokenizer, or serialization and box edges.

    Raises:
        CheckpointError: the model directory does not say it.
    """
    detector = model_detector(config)
    plain = detector.model_dump(mode="json", exclude_defaults=True)
    if "tokenizer" in config:
        tokenizer = TokenizerConfig.model_validate(config["tokenizer"])
        return Preparation(
            detector,
            {"kind": "groups", "settings": tokenizer.model_dump(mode="json"), "detector": plain},
            _kinds(group_cache.group_fields(detector)),
            lambda event: group_cache.group_event(event, detector, tokenizer),
        )
    if not config.get("edges") or "serialization" not in config:
        raise CheckpointError(
            "config.json of this model holds no tokenizer, and not serialization and edges: it does not say how its events are prepared"
        )
    edges = BoxEdges.from_dict(config["edges"], source="edges of config.json")
    serialization = SerializationConfig.model_validate(config["serialization"])
    edges.check(serialization, detector, source="edges of config.json")
    settings = sequence_cache.cache_settings(edges, serialization, NO_TARGETS)
    return Preparation(
        detector,
        {"kind": "sequences", "settings": settings, "edges": config["edges"], "detector": plain},
        _kinds(sequence_cache.sequence_fields(detector)),
        lambda event: sequence_cache.whole_event(event, detector, edges, serialization, NO_TARGETS),
    )


def _kinds(fields: Sequence[pa.Field]) -> dict[str, Any]:
    return {f.name: f.type.value_type.to_pandas_dtype() for f in fields if pa.types.is_list(f.type)}


def model_detector(config: Config) -> Detector:
    """Return the detector of a model, with the signal scaling it was trained with.

    Raises:
        CheckpointError: its ``config.json`` does not hold it.
    """
    try:
        return Detector.model_validate(config["detector"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"config.json of this model holds no detector (found {config.get('detector')!r}): trained by the first edition? "
            "Train or import it again"
        ) from error


def check_detector(given: Detector, model: Detector, source: object, *, scaling: bool = False) -> None:
    """Make sure that events are of the detector that a model was trained on, however their files are read.

    Args:
        given: detector of the events.
        model: of the model.
        source: where ``given`` comes from, for the message.
        scaling: the events are prepared, so that the signal must be scaled as in training, too.

    Raises:
        DataError: another detector.
    """
    alike = given.model_copy(update={name: getattr(model, name) for name in ("read", "simulation", "release")})
    if given.name != model.name or alike.with_scaling(model.signal_scaling()).hash != model.hash:
        raise DataError(
            f"{source}: detector {given.name} ({given.hash}); this model was trained on events of {model.name} ({model.hash})"
        )
    if scaling and alike.hash != model.hash:
        raise DataError(
            f"{source}: the signal is scaled by {given.signal_scaling()}, in the training of this model by {model.signal_scaling()}; "
            "give the event table or the raw file, which are scaled as the model wants it"
        )
