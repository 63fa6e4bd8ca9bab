"""Predictions of whole files beside the network alone on batches that are ready, and memory as files grow.

Ratios are of CPU time (all threads), so that other work on the machine does not enter: 0.8 means that reading, checking, preparing,
answering and writing cost a quarter of what the network does. Networks have random weights: time does not depend on them.
``python benchmarks/predict.py`` prints events per second, too; ``OMP_NUM_THREADS`` says on how many threads the network runs.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tpcfm.detectors.registry import load_detector
from tpcfm.events.job import ingest_file
from tpcfm.files import read_json
from tpcfm.inference.file_events import open_events
from tpcfm.inference.jobs import predict_files
from tpcfm.inference.model import Model
from tpcfm.inference.stream import BATCH_POINTS, by_points, prepared_batches
from tpcfm.models.fm4npp.settings import WIDTHS, AdapterConfig, Fm4nppModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.registry import build
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.sequences.cache import fit_edges
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.simulate.collider.files import simulate_file as simulate_collider
from tpcfm.simulate.lartpc import simulate_file as simulate_lartpc
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.train import save_model, to_device

EVENTS = 16
TRAIN = {"steps": 1, "batch_size": 1}
GROWN = (100, 10_000)
"""Events of the files whose memory is compared."""


def made(folder: Path, wanted: str = "") -> dict[str, tuple[Path, Path]]:
    """Write raw files and model directories (those whose name begins so); return model and file by what they are."""
    argon, collider = folder / "bombs.h5", folder / "spacepoints_000.npz"
    simulate_lartpc(argon, EVENTS, 1)
    simulate_collider(folder, 0, EVENTS, 1, "gun", True, False)
    pilarnet, sphenix = load_detector("pilarnet"), load_detector("sphenix")
    ingest_file(collider, sphenix, "a", folder / "events.parquet", folder / "bad.parquet", lambda _: "train")
    serialization = SerializationConfig()
    fit_edges([folder / "events.parquet"], folder / "edges.json", serialization)
    edges = read_json(folder / "edges.json")
    scaled = sphenix.with_scaling(_scaling(edges))
    groups = {"detector": _plain(pilarnet), "tokenizer": TokenizerConfig().model_dump(mode="json")}
    points = {"detector": _plain(scaled), "serialization": serialization.model_dump(mode="json"), "edges": edges}
    classes = pilarnet.classes()["semantic"].names
    configs: dict[str, tuple[dict[str, Any], Path]] = {}
    for size, model in (("width 48, depth 3", PolarMaeModel(width=48, depth=3, heads=3)), ("paper", PolarMaeModel())):
        head = {"architecture": "polar_mae_head", "model": model.model_dump(mode="json"), "head_hidden": 0}
        labels = {"label": "semantic", "classes": classes, "queries": 60}
        configs[f"polar_mae semantic, {size}"] = ({**head, **labels, **groups}, argon)
    unet = {"architecture": "sparse_unet", "label": "semantic", "classes": classes, **groups}
    configs["sparse_unet, 8 filters"] = ({**unet, "filters": 8, "depth": 4, "repetitions": 2}, argon)
    configs["sparse_unet, 32 filters"] = ({**unet, "filters": 32, "depth": 5, "repetitions": 2}, argon)
    for size in ("m1", "m3"):
        backbone = Fm4nppModel(width=WIDTHS[size])
        targets = TargetConfig().model_dump(mode="json")
        about = {"architecture": "fm4npp", "model": backbone.model_dump(mode="json"), "targets": targets, **points}
        torch.manual_seed(0)
        save_model(folder / "runs" / size, build(about), config=about, card="", run={}, history=[])
        for label, count in (("track", 0), ("pid", 5)):
            block = AdapterConfig(outputs={label: count}, n_labels=1, width=64, queries=60, model=backbone, train=TRAIN)  # type: ignore[arg-type]
            adapter = {"architecture": "fm4npp_adapter", "adapter": block.model_dump(mode="json"), "pretrained": size}
            configs[f"fm4npp {label}, {size}"] = ({**adapter, **points}, collider)
    graph = PointBaselineConfig(model="sage", label="pid", classes=5, n_labels=1, train=TRAIN, graph={"width": 64})  # type: ignore[arg-type]
    sage = {"architecture": "baseline_sage", "baseline": graph.model_dump(mode="json"), "label": "pid"}
    configs["sage, width 64"] = ({**sage, "classes": sphenix.classes()["pid"].names, **points}, collider)
    configs = {name: made for name, made in configs.items() if name.startswith(wanted)}
    for name, (config, _) in configs.items():
        torch.manual_seed(0)
        save_model(folder / "runs" / name, build(config), config=config, card="", run={}, history=[])
    return {name: (folder / "runs" / name, file) for name, (_, file) in configs.items()}


def _plain(detector: Any) -> dict[str, Any]:
    return detector.model_dump(mode="json", exclude_defaults=True)


def _scaling(edges: dict[str, Any]) -> Any:
    from tpcfm.prepare.sequences.serialization import BoxEdges

    return BoxEdges.from_dict(edges).signal


def bare(model: Model, file: Path) -> float:
    """Return CPU seconds of the network alone on batches that are ready."""
    predictor = model.predictor
    with open_events(file, model.detector) as source:
        groups = list(by_points(source.events, BATCH_POINTS))
        ready = [made for made in prepared_batches(groups, model.preparation, predictor.collate, 0) if made.batch]
    batches = [(one.batch, to_device(one.batch, "cpu")) for one in ready if one.batch is not None]
    return best(lambda: [predictor.answer(batch, tensors) for batch, tensors in batches])


def whole(model: Model, file: Path, folder: Path) -> float:
    """Return CPU seconds of `predict_files`."""
    return best(lambda: predict_files(model, file, folder, overwrite=True, workers=1))


def best(work: Any, calls: int = 2) -> float:
    """Return the least CPU time of some calls, after one to warm up."""
    work()
    times = []
    for _ in range(calls):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measured() -> Iterator[tuple[str, float, float]]:
    """Yield what, CPU seconds per event of the network alone and of whole files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, (run, file) in made(folder).items():
            model = Model(run, "cpu")
            yield what, bare(model, file) / EVENTS, whole(model, file, folder / "out") / EVENTS


def memory(events: int) -> float:
    """Return the peak memory in MiB of `tpcfm predict` on a file of so many events of 100 points, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", str(events)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def grow(events: int) -> None:
    """Predict a file of so many events and print the peak memory of this process in MiB."""
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, file = made(folder, "sage")["sage, width 64"]
        data, size = (np.load(file)[key] for key in ("data", "size"))
        few = data[np.concatenate([np.arange(a, a + 100) for a in np.cumsum(size)[:-1] - size[:-1]])]
        times = -(-events // (len(few) // 100))
        (folder / "grown").mkdir()
        packed = np.tile(few, (times, 1))[: events * 100]
        np.savez(folder / "grown" / "spacepoints.npz", data=packed, size=np.full(events, 100))
        del packed, data
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        predict_files(Model(run, "cpu"), folder / "grown" / "spacepoints.npz", folder / "out")
        print(f"{before / 1024:.0f} MiB before,", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def rows() -> list[dict[str, Any]]:
    """Rows of the table of benchmarks."""
    table = [
        {
            "what": f"predict, {what}",
            "size": f"{EVENTS} events",
            "against": "network alone (CPU time)",
            "ratio": alone / all_of_it,
        }
        for what, alone, all_of_it in measured()
    ]
    small, large = (memory(events) for events in GROWN)
    grown = {"what": "memory of predict", "size": f"{GROWN[1]} events", "against": f"{GROWN[0]} events"}
    return [*table, {**grown, "ratio": large / small, "memory_mib": large}]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        grow(int(sys.argv[2]))
    else:
        for what, alone, all_of_it in measured():
            rates = f"{1 / alone:9.1f} {1 / all_of_it:9.1f} events per CPU second, ratio {alone / all_of_it:.2f}"
            print(f"{what:36} network alone, predict: {rates}", flush=True)
