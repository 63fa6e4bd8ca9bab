"""What inference says of an event is what the evaluation of the training said of it, for every job that predicts a label."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from event_tables import PILARNET
from model_zoo import TRAIN, configs
from polar_mae_toys import MODEL
from tpcfm.detectors.model import ClassLabel
from tpcfm.events.read import read_events
from tpcfm.inference.predict import predict_event
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines import classify_points as baseline_classes
from tpcfm.systems.baselines import find_tracks as baseline_instances
from tpcfm.systems.baselines import sparse_unet
from tpcfm.systems.fm4npp import classify_points, find_tracks
from tpcfm.systems.polar_mae import segment
from tpcfm.systems.polar_mae.settings import SegmentationConfig, SparseUNetConfig
from tpcfm.workspace import Workspace

HEAD = SegmentationConfig(classes=len(PILARNET.classes()["semantic"].values), start="random", n_labels=2, head_hidden=16, model=MODEL, train=TRAIN)  # type: ignore[arg-type]  # fmt: skip
UNET = SparseUNetConfig(n_labels=2, filters=4, depth=2, repetitions=1, train=TRAIN)  # type: ignore[arg-type]
JOBS: dict[str, tuple[Callable[..., None], str, dict[str, Any] | str]] = {
    "segment": (segment.run, "groups", HEAD.model_dump(mode="json")),
    "sparse": (sparse_unet.run, "groups", UNET.model_dump(mode="json")),
    **dict.fromkeys(("track-none", "track-pretrained"), (find_tracks.run, "sequences", "adapter")),
    **dict.fromkeys(("pid-pretrained", "noise-none"), (classify_points.run, "sequences", "adapter")),
    **dict.fromkeys(("sage", "gat", "voxel_unet"), (baseline_classes.run, "sequences", "baseline")),
    **dict.fromkeys(("eggnet", "exatrkx", "hept", "kalman"), (baseline_instances.run, "sequences", "baseline")),
}


@pytest.mark.parametrize("name", JOBS)
def test_inference_repeats_the_evaluation(space: Workspace, name: str) -> None:
    job, cache, block = JOBS[name]
    if isinstance(block, str):
        block = configs(*(PreparedStore(space.cache(c)) for c in ("groups", "sequences")))[name][block]
    task = block["label"] if "label" in block else next(iter(block["outputs"]))
    run = Run(
        slug=f"job-{name}", stage="finetune", family="any", recipe="any", task=task, config=block, dataset="toy", cache=cache,
        n_labels=block["n_labels"], pretrained="fm4npp" if block.get("start") == "pretrained" else None,
    )  # fmt: skip
    job(run, space, device="cpu")
    folder, store = space.run(run.id), PreparedStore(space.cache(cache))
    rows = {event: row for row, event in enumerate(store.event_ids(range(len(store))))}
    shown = list(read_events(folder / "predictions.parquet", ["event_id", "x", "prediction", "truth"]))
    assert shown
    label = store.detector.labels[task]
    for event in shown:
        found = predict_event(folder, store, rows[event["event_id"]])
        assert found["task"] == task
        np.testing.assert_array_equal(found["x"], event["x"])
        np.testing.assert_array_equal(found["prediction"], event["prediction"])
        truth = found["truth"] if isinstance(label, ClassLabel) else label.encode(found["truth"])
        np.testing.assert_array_equal(truth, event["truth"])
