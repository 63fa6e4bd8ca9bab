"""Runs of the FM4NPP studies beside scaling: coordinate check, learning-rate transfer, depth of adapters, joint adapter."""

from typing import Any

from tpcfm.config.base import LabelCount
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.systems.fm4npp.room import Room
from tpcfm.systems.fm4npp.study_settings import CoordinateCheck

LINEAR = "linear layer"  # stands in the place of the backbone and is trained with the head


def plan_mup_study(room: Room) -> None:
    """Add coordinate checks and the learning-rate sweep; the runs of the sweep are ordinary pretraining runs."""
    study = room.system.mup_study
    if study is None:
        return
    if study.coordinates:
        for kind in study.parameterizations:
            room.study("coordinate_check", "scaling", _coordinate_check(room, kind), "parameterization", kind)
    if study.transfer:
        grid = study.transfer
        for kind in study.parameterizations:
            for size in grid.sizes:
                for rate in sorted(grid.learning_rates):
                    for seed in grid.seeds:
                        run = room.pretrain(
                            size, seed=seed, learning_rate=rate, steps=grid.steps, parameterization=kind
                        )
                        room.study("lr_transfer", "scaling", run, f"learning_rate/{kind}/{size}", f"{rate:g}")


def _coordinate_check(room: Room, parameterization: str) -> str:
    study, system = room.system.mup_study, room.system
    assert study is not None
    assert study.coordinates is not None
    settings = study.coordinates.model_dump()
    changed = {"depth": settings.pop("depth") or system.model.depth, "parameterization": parameterization}
    model = Fm4nppModel.model_validate({**system.model.model_dump(), **changed})
    return room.run(
        CoordinateCheck(model=model, targets=system.targets, **settings),
        f"coordinates-{parameterization}",
        stage="probe",
        recipe="fm4npp.coordinate_check",
        task="coordinates",
        version=2,  # as the pretraining
        **room.events(room.unlabelled),
    )


def plan_adapter_studies(room: Room, backbones: dict[str, str]) -> None:
    """Add the depth sweep and the joint adapter with its separate counterparts."""
    _depth(room, backbones)
    _joint(room, backbones)


def _trunk(
    room: Room,
    tasks: list[str],
    size: str,
    n_labels: LabelCount,
    seed: int,
    layers: int,
    pretrained: str | None,
    budget: str = "",
    **more: Any,
) -> str:
    """Add a classifier of some attention and feed-forward blocks, on the backbone or on a linear layer in its place."""
    start = "none" if pretrained is None else "pretrained"
    return room.adapter(
        tasks,
        size,
        room.system.tasks[budget or tasks[0]],
        n_labels,
        seed,
        start,
        pretrained,
        name=f"{size}-{start if pretrained else 'linear'}-layers{layers}",
        attention_layers=layers,
        feed_forward=True,
        raw_embedding="nerf" if pretrained else "linear",
        **more,
    )


def _depth(room: Room, backbones: dict[str, str]) -> None:
    study = room.system.adapters.depth
    if study is None:
        return
    room.class_label("adapters.depth.task", study.task)
    for depth in sorted(set(study.depths)):
        for seed in study.seeds:
            for name, pretrained in (("pretrained", backbones[study.size]), (LINEAR, None)):
                run = _trunk(room, [study.task], study.size, study.n_labels, seed, depth, pretrained)
                room.study("adapter_depth", "ablations", run, f"depth/{name}", depth)


def _joint(room: Room, backbones: dict[str, str]) -> None:
    study = room.system.adapters.joint
    if study is None:
        return
    tasks, pretrained = list(study.weights), backbones[study.size]
    for task in tasks:
        room.class_label("adapters.joint.weights", task)
    for seed in study.seeds:
        joint = _trunk(room, tasks, study.size, study.n_labels, seed, study.layers, pretrained, weights=study.weights)
        room.study("adapter_joint", "ablations", joint, "heads", "joint")
        for task in tasks:
            run = _trunk(room, [task], study.size, study.n_labels, seed, study.layers, pretrained, tasks[0])
            room.study("adapter_joint", "ablations", run, "heads", "separate")
