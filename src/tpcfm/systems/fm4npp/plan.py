"""Runs of FM4NPP: pretraining over sizes, scaling in data and compute, ablations, adapters and their controls."""

from typing import Any

from tpcfm.config.training import LabelledTraining
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.plan.table import Planner
from tpcfm.prepare.sequences.settings import RELEASED_SERIALIZATION
from tpcfm.systems.baselines.plan import plan_baselines
from tpcfm.systems.fm4npp.plan_studies import plan_adapter_studies, plan_mup_study
from tpcfm.systems.fm4npp.settings import NeighbourPretraining

TASKS = ("tracks", "pid", "noise")
RECIPES = {
    "tracks": "fm4npp.find_tracks",
    "pid": "fm4npp.classify_points",
    "noise": "fm4npp.classify_points",
    "pid_noise": "fm4npp.classify_points",
}


class Room:
    """What the functions that add FM4NPP runs share."""

    def __init__(self, planner: Planner) -> None:
        system, source = planner.config.fm4npp, planner.config.data.collider
        assert system is not None
        assert source is not None
        self.planner, self.system = planner, system
        self.labelled = planner.dataset(source, "tpcpp")
        unlabelled = planner.config.data.collider_pretrain
        self.unlabelled = planner.dataset(unlabelled, "tpcpp") if unlabelled else self.labelled

    def cache(self, dataset: str, order: str | None = None) -> str:
        serialization = self.system.serialization.model_dump(mode="json")
        if order:
            serialization["order"] = order
        targets = self.system.targets.model_dump(mode="json")
        return self.planner.sequences_cache(dataset, serialization, targets, edges_from=self.unlabelled)

    def imported_cache(self, name: str) -> str:
        """Add the labelled events in the order and with the scaling of an imported model: the same events as every system's."""
        cut = {"max_points": self.system.serialization.max_points}
        serialization = RELEASED_SERIALIZATION.model_copy(update=cut).model_dump(mode="json")
        targets = self.system.targets.model_dump(mode="json")
        return self.planner.sequences_cache(self.labelled, serialization, targets, self.unlabelled, model=name)

    def model(self, size: str, mixer: str | None = None, parameterization: str | None = None) -> Fm4nppModel:
        changed = {"width": self.system.width(size), "mixer": mixer or self.system.model.mixer}
        changed["parameterization"] = parameterization or self.system.model.parameterization
        return Fm4nppModel.model_validate({**self.system.model.model_dump(), **changed})

    def pretrain(
        self,
        size: str,
        *,
        seed: int = 0,
        fraction: float = 1.0,
        compute: float = 1.0,
        order: str | None = None,
        mixer: str | None = None,
        parameterization: str | None = None,
        learning_rate: float | None = None,
        steps: int | None = None,
        **targets: Any,
    ) -> str:
        full = self.system.steps_by_size.get(size, self.system.pretrain.steps)  # type: ignore[call-overload]
        budget = [f"steps{steps}"] * (steps not in (None, full))
        steps = max(1, round((steps or full) * compute))
        rate = learning_rate or self.system.pretrain.learning_rate
        micro_batch = self.system.max_points_by_size.get(size, self.system.pretrain.max_points)  # type: ignore[call-overload]
        warmup = min(self.system.pretrain.warmup_steps, steps // 5)
        block = NeighbourPretraining(
            model=self.model(size, mixer, parameterization),
            targets=self.system.targets.model_copy(update=targets),
            train=self.system.pretrain.model_copy(
                update={"steps": steps, "warmup_steps": warmup, "learning_rate": rate, "max_points": micro_batch}
            ),
            data_fraction=fraction,
            validation_events=self.system.validation_events,
            seed=seed,
        )
        changed = [f"data{fraction:g}"] * (fraction != 1) + [f"compute{compute:g}"] * (compute != 1)
        changed += budget + [f"lr{rate:g}"] * (rate != self.system.pretrain.learning_rate)
        changed += [name for name in (order, mixer, parameterization) if name]
        changed += [f"{key}-{value}" for key, value in targets.items()]
        return self.planner.run(
            slug="-".join(["pretrain", size, *map(str, changed), f"s{seed}"]),
            stage="pretrain",
            family="fm4npp",
            recipe="fm4npp.pretrain",
            task="pretrain",
            config=block.model_dump(mode="json"),
            dataset=self.unlabelled,
            cache=self.cache(self.unlabelled, order),
            seed=seed,
        )

    def adapter(
        self,
        task: str,
        size: str,
        study: LabelledTraining,
        n_labels: int,
        seed: int,
        start: str,
        pretrained: str | None,
        order: str | None = None,
        mixer: str | None = None,
        name: str = "",
        cache: str | None = None,
        **changes: Any,
    ) -> str:
        block = AdapterConfig(
            task=task,
            start=start,
            n_labels=n_labels,
            width=self.system.adapters.width,
            queries=self.system.adapters.queries,
            mix_embedding=self.system.adapters.mix_embedding and start != "none",
            validation_events=self.system.validation_events,
            model=Fm4nppModel() if start == "imported" else self.model(size, mixer),
            train=study.budget(n_labels),
            seed=seed,
            **changes,
        )  # type: ignore[arg-type]
        return self.planner.run(
            slug=f"{task}-{name or (start if start == 'none' else f'{size}-{start}')}-{n_labels}-s{seed}",
            stage="finetune",
            family="fm4npp",
            recipe=RECIPES[task],
            task=task,
            config=block.model_dump(mode="json"),
            dataset=self.labelled,
            cache=cache or self.cache(self.labelled, order),
            pretrained=pretrained,
            n_labels=n_labels,
            seed=seed,
        )


def plan_fm4npp(planner: Planner) -> None:
    """Add everything of FM4NPP to the plan."""
    room = Room(planner)
    system = room.system
    backbones: dict[str, str] = {size: room.pretrain(size, seed=system.seeds[0]) for size in system.sizes}
    for size in system.sizes:
        for seed in system.seeds:
            run = room.pretrain(size, seed=seed)
            planner.study("pretrain_fm4npp", "pretrain", run, "size", size)
            planner.study("scaling_size", "scaling", run, "size", size)
    _scaling(room)
    plan_mup_study(room)
    _adapters(room, backbones)
    plan_adapter_studies(room, backbones)
    _ablations(room, backbones)
    if system.baselines:
        plan_baselines(planner, system.baselines, room.labelled, room.cache(room.labelled))


def _scaling(room: Room) -> None:
    system, planner = room.system, room.planner
    for seed in system.seeds:
        if system.scaling.data_fractions:
            for fraction in sorted({1.0, *system.scaling.data_fractions}):
                run = room.pretrain(system.scaling.data_size, seed=seed, fraction=fraction)
                planner.study("scaling_data", "scaling", run, "data_fraction", fraction)
        for size in system.scaling.compute_sizes if system.scaling.compute_fractions else []:
            for fraction in sorted({1.0, *system.scaling.compute_fractions}):
                run = room.pretrain(size, seed=seed, compute=fraction)
                planner.study("scaling_compute", "scaling", run, f"compute_fraction/{size}", fraction)


def _adapters(room: Room, backbones: dict[str, str]) -> None:
    system, planner = room.system, room.planner
    for task in TASKS:
        study = getattr(system.adapters, task)
        if study is None:
            continue
        for n_labels in study.labels:
            for seed in study.seeds:
                for start in system.adapters.starts:
                    # The adapter-only control sees raw points: one run, whatever the backbone.
                    for size in system.adapters.sizes[:1] if start == "none" else system.adapters.sizes:
                        pretrained = backbones[size] if start == "pretrained" else None
                        run = room.adapter(task, size, study, n_labels, seed, start, pretrained)
                        label = "adapter only" if start == "none" else f"{size} {start}"
                        planner.study(f"adapters_{task}", "finetune", run, "start", label)
                        if start != "random":
                            planner.study("scaling_downstream", "scaling", run, task, label)
                for imported in system.imported:
                    given = {"name": imported.lower(), "cache": room.imported_cache(imported)}
                    run = room.adapter(task, "", study, n_labels, seed, "imported", imported, **given)
                    planner.study(f"adapters_{task}", "finetune", run, "start", f"{imported} pretrained")


def _ablations(room: Room, backbones: dict[str, str]) -> None:
    system, planner = room.system, room.planner
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
        planner.study("ablation_pretrain", "ablations", run, "variant", name)
        for task in ablations.tasks if ablations.n_labels else []:
            study = getattr(system.adapters, task)
            if study is None:
                continue
            for seed in study.seeds:
                slug = "" if not change else f"{size}-{name.replace('=', '').replace(' ', '_')}"
                adapter = room.adapter(
                    task,
                    size,
                    study,
                    int(ablations.n_labels or 0),
                    seed,
                    "pretrained",
                    run,
                    order=changed_order,
                    mixer=change.get("mixer"),
                    name=slug,
                )
                planner.study("ablation_adapters", "ablations", adapter, f"variant/{task}", name)
