"""A tiny untrained network of every architecture, saved beside the caches it reads. Not a test file."""

from pathlib import Path
from typing import Any

import torch

from fm4npp_toys import toy_cache as toy_sequences
from polar_mae_toys import MODEL
from polar_mae_toys import toy_cache as toy_groups
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.models.registry import build
from tpcfm.prepare.geometry.edge_geometry import edge_names
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackSystem
from tpcfm.systems.classical.settings import FinderConfig
from tpcfm.train import save_model
from tpcfm.workspace import Workspace

BACKBONE = Fm4nppModel(width=64, depth=2, dropout=0.0)
TRAIN = {"steps": 1, "batch_size": 1}
GRAPH = {"width": 16, "layers": 2, "neighbours": 4, "classifier": (8, 8)}
VOXEL = {"grid": (8, 8, 6), "filters": 8, "depth": 2, "width": 16, "decoder_layers": 1, "heads": 2}
TRACKERS = {
    "eggnet": {"width": 8, "iterations": 2, "passings": 1, "neighbours": 4, "embedding": 4},
    "exatrkx": {"embedding_width": 16, "embedding_layers": 1, "filter_width": 16, "filter_layers": 1, "width": 8, "passings": 1},
    "hept": {"width": 8, "heads": 2, "layers": 1, "block": 10, "hashes": 2, "regions": 4, "output_width": 8, "output_layers": 1},
    "kalman": {},
}  # fmt: skip

OF_GROUPS = {"semantic-head": "semantic", "group-head": "group", "sparse_unet": "semantic", "semantic-lora": "semantic"}
OF_SEQUENCES = {
    "track-pretrained": "track", "track-none": "track", "pid-pretrained": "pid", "noise-none": "noise", "pid-lora": "pid",
    **dict.fromkeys(("sage", "graph_conv", "gcn", "gat", "voxel_unet"), "pid"),
    **dict.fromkeys(("eggnet", "exatrkx", "hept", "kalman"), "track"),
}  # fmt: skip
PREDICTORS = {**OF_GROUPS, **OF_SEQUENCES}
"""Networks that predict a label, and that label."""


def events_of(space: Workspace, run: str) -> Path:
    """The event table that the cache of a network was made of."""
    return space.cache("groups") / "toy.parquet" if run in OF_GROUPS else space.cache("sequences-events.parquet")


def described(store: PreparedStore) -> dict[str, Any]:
    """What every ``config.json`` says of the events: detector, and tokenizer or serialization."""
    detector = {"detector": store.detector.model_dump(mode="json", exclude_defaults=True)}
    if store.manifest["kind"] == "groups":
        return {**detector, "tokenizer": store.settings}
    return {**detector, "serialization": store.settings["serialization"], "edges": store.manifest["edges"]}


def configs(groups: PreparedStore, sequences: PreparedStore) -> dict[str, dict[str, Any]]:
    """``config.json`` of a tiny network by name of its run: as the jobs write them."""
    voxels, points = described(groups), described(sequences)
    classes = groups.detector.classes()["semantic"].names
    labels = {name: label.names for name, label in sequences.detector.classes().items()}
    model = MODEL.model_dump(mode="json")
    found: dict[str, dict[str, Any]] = {
        "polar_mae": {"architecture": "polar_mae", "model": model, "slots": 32, **voxels},
        "point_mae": {"architecture": "point_mae", "model": model, "slots": 32, **voxels},
        "token_encoder": {"architecture": "token_encoder", "model": model, **voxels},
        "sparse_unet": {
            "architecture": "sparse_unet", "filters": 4, "depth": 2, "repetitions": 1, "label": "semantic",
            "classes": classes, **voxels,
        },
        "fm4npp": {
            "architecture": "fm4npp", "model": BACKBONE.model_dump(mode="json"),
            "targets": TargetConfig().model_dump(mode="json"), **points,
        },
    }  # fmt: skip
    for name, label, names in (("semantic-head", "semantic", classes), ("group-head", "group", [])):
        found[name] = {
            "architecture": "polar_mae_head", "model": model, "head_hidden": 16 if names else 0, "label": label,
            "classes": names, "queries": 8, "class_weights": [1.0] * len(names), **voxels,
        }  # fmt: skip
    found["semantic-lora"] = {**found["semantic-head"], "mode": "lora", "tuning": {"rank": 2}}
    outputs = {"track": {"track": 0}, "pid": {"pid": 5}, "noise": {"noise": 2}, "both": {"pid": 5, "noise": 2}}
    for name, wanted in outputs.items():
        for start in ("pretrained", "none"):
            block = AdapterConfig(
                outputs=wanted, start=start, n_labels=1, width=16, queries=8, model=BACKBONE, train=TRAIN
            )  # type: ignore[arg-type]
            found[f"{name}-{start}"] = {
                "architecture": "fm4npp_adapter", "adapter": block.model_dump(mode="json"), "pretrained": "fm4npp",
                "classes": {label: labels.get(label, []) for label in wanted}, **points,
            }  # fmt: skip
    lora = {**found["pid-pretrained"]["adapter"], "mode": "lora", "tuning": {"rank": 2}}
    found["pid-lora"] = {**found["pid-pretrained"], "adapter": lora, "slots": 30}
    for kind in ("sage", "graph_conv", "gcn", "gat", "voxel_unet"):
        sizes = {"voxel": VOXEL} if kind == "voxel_unet" else {"graph": GRAPH}
        point = PointBaselineConfig(model=kind, label="pid", classes=5, n_labels=1, train=TRAIN, **sizes)  # type: ignore[arg-type]
        found[kind] = {
            "architecture": f"baseline_{kind}", "baseline": point.model_dump(mode="json"), "label": "pid",
            "classes": labels["pid"], **points,
        }  # fmt: skip
    for kind, sizes in TRACKERS.items():
        track = TrackBaselineConfig(model=kind, n_labels=int(kind != "kalman"), train=TRAIN, **{kind: sizes})  # type: ignore[arg-type]
        found[kind] = {
            "architecture": f"baseline_{kind}", "baseline": track.model_dump(mode="json"), "label": "track", "classes": [],
            "clustering": TrackSystem(track, sequences.detector).choices[0], **points,
        }  # fmt: skip
    edges = {"edges": {"hidden": [8], "neighbours": 4}, "dbscan": {"eps": [2.0, 3.0]}}
    for kind, sizes in edges.items():
        finder = FinderConfig(label="track", n_labels=1, train=TRAIN, **{kind: sizes})  # type: ignore[arg-type]
        found[kind] = {
            "architecture": f"classical_{kind}", "finder": finder.model_dump(mode="json"), "label": "track", "classes": [],
            "features": edge_names(sequences.detector) if kind == "edges" else [],
            "clustering": {"threshold": 0.5, "eps": 2.0, "min_samples": 1.0}, **points,
        }  # fmt: skip
    found["trees"] = {
        "architecture": "classical_trees", "nodes": 1, "trees": 1, "scores": 5, "label": "pid", "classes": labels["pid"], **points,
    }  # fmt: skip
    return found


def toy_models(root: Path) -> tuple[Workspace, dict[str, torch.nn.Module]]:
    """A workspace with the caches ``groups`` and ``sequences`` and a model directory per name of `configs`, and the networks."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workspace = Workspace(root)
    groups = toy_groups(workspace.cache("groups"), 12)
    sequences = PreparedStore(toy_sequences(workspace.cache("sequences")))
    made = {}
    for name, config in configs(groups, sequences).items():
        made[name] = build(config).eval()
        save_model(workspace.run(name), made[name], config=config, card="", run={}, history=[])
    return workspace, made
