"""Runs of FM4NPP: pretraining over sizes, scaling in data and compute, ablations, adapters and their controls."""

from typing import Any

from tpcfm.models.tuning.settings import NAMES, Way
from tpcfm.plan.planner import Planner
from tpcfm.systems.baselines.plan import plan_baselines
from tpcfm.systems.fm4npp.plan_studies import plan_adapter_studies, plan_mup_study
from tpcfm.systems.fm4npp.room import Room
from tpcfm.systems.fm4npp.system import Fm4nppSystem


def plan_fm4npp(planner: Planner, key: str, system: Fm4nppSystem) -> None:
    """Add everything of one FM4NPP system to the plan."""
    room = Room(planner, key, system)
    backbones: dict[str, str] = {size: room.pretrain(size, seed=system.seeds[0]) for size in system.sizes}
    planner.keep_pretrained(key, dict(backbones))
    for size in system.sizes:
        for seed in system.seeds:
            run = room.pretrain(size, seed=seed)
            room.study("pretrain", "pretrain", run, "size", size)
            room.study("scaling_size", "scaling", run, "size", size)
    _scaling(room)
    plan_mup_study(room)
    _adapters(room, backbones)
    plan_adapter_studies(room, backbones)
    _ablations(room, backbones)
    plan_baselines(planner, key, system.baselines, system.dataset, system.validation_events, room.labelled_events())


def _scaling(room: Room) -> None:
    system, study = room.system, room.system.scaling
    if study is None:
        return
    for seed in system.seeds:
        if study.data_fractions:
            for fraction in sorted({1.0, *study.data_fractions}):
                run = room.pretrain(study.data_size, seed=seed, fraction=fraction)
                room.study("scaling_data", "scaling", run, "data_fraction", fraction)
        for size in system.sizes if study.compute_fractions else []:
            # Every size at full compute stands on the figure (Fig. 4c), those named also at less.
            less = study.compute_fractions if size in study.compute_sizes else []
            for fraction in sorted({1.0, *less}):
                run = room.pretrain(size, seed=seed, compute=fraction)
                room.study("scaling_compute", "scaling", run, f"compute_fraction/{size}", fraction)


def _adapters(room: Room, backbones: dict[str, str]) -> None:
    system = room.system
    for task, training in system.tasks.items():
        for n_labels in training.labels:
            for seed in training.seeds:
                for start in system.adapters.starts:
                    for size in system.adapters.sizes:
                        pretrained = backbones[size] if start == "pretrained" else None
                        label, slug = f"{size} {start}", ""
                        if start == "none":  # as wide as the backbone it is compared with
                            one = len(system.adapters.sizes) == 1
                            label, slug = ("adapter only", "none") if one else (f"{size} adapter only", f"{size}-none")
                        modes: list[Way] = ["frozen"] if start == "none" else system.adapters.modes
                        for mode in modes if "published" in system.adapters.heads else []:
                            name = slug if mode == "frozen" else f"{size}-{start}-{mode}"
                            how = room.tuned(mode)
                            run = room.adapter(
                                [task], size, training, n_labels, seed, start, pretrained, name=name, **how
                            )
                            point = label if mode == "frozen" else f"{label}, {NAMES[mode]}"
                            room.study(f"heads_{task}", "finetune", run, "start", point)
                            if start != "random" and mode == "frozen":
                                room.study("scaling_downstream", "scaling", run, task, label)
                        if "edges" in system.adapters.heads and (start != "none" or size == system.adapters.sizes[0]):
                            name = "edges-geometry" if start == "none" else f"edges-{size}-{start}"
                            label = f"edge head, {'geometry only' if start == 'none' else label}"
                            head = system.adapters.edge_head
                            run = room.adapter(
                                [task], size, training, n_labels, seed, start, pretrained, name=name, edge_head=head
                            )
                            room.study(f"heads_{task}", "finetune", run, "start", label)
                for imported in system.imported:
                    for mode in system.adapters.modes:
                        run = room.adapter(
                            [task],
                            "",
                            training,
                            n_labels,
                            seed,
                            "imported",
                            imported,
                            name=imported.lower() + ("" if mode == "frozen" else f"-{mode}"),
                            events=room.imported_events(imported),
                            **room.tuned(mode),
                        )
                        point = f"{imported} pretrained" + ("" if mode == "frozen" else f", {NAMES[mode]}")
                        room.study(f"heads_{task}", "finetune", run, "start", point)


def _ablations(room: Room, backbones: dict[str, str]) -> None:
    system = room.system
    ablations = system.ablations
    variants: dict[str, dict[str, Any]] = {}
    for k in ablations.k:
        if k != system.targets.k:
            variants[f"k={k}"] = {"k": k}
    if ablations.next_token:
        variants["next token"] = {"objective": "next_token"}
    for order in ablations.orders:
        variants[order] = {"order": order}
    for rescale in ablations.rescale:
        if rescale != system.targets.rescale:
            variants[f"rescale {rescale}"] = {"rescale": rescale}
    for mixer in ablations.mixers:
        if mixer != system.model.mixer:
            variants[mixer] = {"mixer": mixer}
    if not variants:
        return
    base = f"base (k={system.targets.k}, {system.serialization.order})"
    size = ablations.size
    for name, change in {base: {}, **variants}.items():
        changed_order: str | None = change.get("order")
        run = room.pretrain(size, seed=system.seeds[0], **change) if change else backbones[size]
        room.study("ablation_pretrain", "ablations", run, "variant", name)
        if ablations.n_labels is None:
            continue
        for task in list(system.tasks) if ablations.tasks is None else ablations.tasks:
            training = system.tasks[task]
            for seed in training.seeds:
                slug = "" if not change else f"{size}-{name.replace('=', '').replace(' ', '_')}"
                adapter = room.adapter(
                    [task],
                    size,
                    training,
                    ablations.n_labels,
                    seed,
                    "pretrained",
                    run,
                    order=changed_order,
                    mixer=change.get("mixer"),
                    name=slug,
                )
                room.study("ablation_heads", "ablations", adapter, f"variant/{task}", name)
