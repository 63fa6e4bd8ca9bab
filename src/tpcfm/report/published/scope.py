"""What the papers did, so that the page can say what a configuration leaves out."""

from collections.abc import Iterator, Mapping
from typing import Any

from tpcfm.report.names import plain
from tpcfm.report.published.lookup import TASKS

STUDIES: dict[str, dict[str, str]] = {
    "polar_mae": {
        "short_steps": "pretraining of 100,000 steps",
        "mask_ratios": "mask-ratio ablation",
        "grouping_study": "pretraining with other tokenizers",
        "variants": "variants of the masked pretraining (App. F)",
        "tokenizer_study": "comparison of tokenizers",
        "probe": "linear probe",
        "baselines.sparse_unet": "sparse U-Net baseline",
    },
    "fm4npp": {
        "ablations.next_token": "next-token ablation",
        "mup_study.coordinates": "coordinate check",
        "mup_study.transfer": "learning-rate transfer",
        "adapters.depth": "adapter depth sweep",
        "adapters.joint": "joint adapter",
        "ablations.rescale": "loss rescaled by difficulty",
        "ablations.mixers": "sequence mixers (Mamba-3, bidirectional)",
        "scaling.data_fractions": "scaling in data",
        "scaling.compute_fractions": "scaling in compute",
    },
}
"""By family: place in the settings of a system, and what is missing where nothing stands there."""
VALUES: dict[str, list[tuple[str, tuple[str, ...], tuple[Any, ...]]]] = {
    "polar_mae": [("start {}", ("heads.starts",), ("polar_mae", "point_mae", "random"))],
    "fm4npp": [
        ("backbone {}", ("sizes",), ("m1", "m2", "m3", "m4", "m5", "m6")),
        ("k = {} ablation", ("ablations.k", "targets.k"), (1, 5)),
        ("order {}", ("ablations.orders", "serialization.order"), ("hilbert",)),
        (
            "baseline {}",
            ("baselines.classes.models", "baselines.instances.models"),
            ("sage", "graph_conv", "gcn", "gat", "voxel_unet", "eggnet", "exatrkx", "hept", "kalman"),
        ),
    ],
}
"""By family: what is missing, places in the settings, and the values that the paper has there."""


def not_included(family: str, detector: str, system: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the papers have and a system leaves out.

    Args:
        family: of the system.
        detector: name of the detector of its labelled events.
        system: its settings.
    """
    for place, name in STUDIES.get(family, {}).items():
        if not _at(system, place):
            yield name
    for name, places, wanted in VALUES.get(family, []):
        held = [value for place in places for value in _listed(_at(system, place))]
        yield from (name.format(plain(str(value))) for value in wanted if value not in held)
    for task, published in TASKS.get((family, detector), {}).items():
        training = system["tasks"].get(task)
        if training is None:
            yield f"task {task}"
        else:
            yield from (f"{task} at {n} labels" for n in published.labels if n not in training["labels"])


def _at(settings: Mapping[str, Any], place: str) -> Any:
    found: Any = settings
    for key in place.split("."):
        found = (found or {}).get(key)
    return found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
