"""Runs of PoLAr-MAE: pretraining and its studies, probes, heads on labels, the sparse U-Net."""

from typing import Any

from tpcfm.config.base import Block
from tpcfm.config.training import LabelledTraining
from tpcfm.models.tuning.settings import Tuning
from tpcfm.plan.planner import Planner
from tpcfm.prepare.groups.settings import Method, TokenizerConfig
from tpcfm.systems.baselines.plan import plan_sparse_unet
from tpcfm.systems.classical.plan import plan_classical
from tpcfm.systems.polar_mae.settings import MaskedPretraining, SegmentationConfig
from tpcfm.systems.polar_mae.system import PolarMaeSystem


def plan_polar_mae(planner: Planner, key: str, system: PolarMaeSystem) -> None:
    """Add everything of one PoLAr-MAE system to the plan."""
    room = Room(planner, key, system)
    backbones = room.pretraining()
    planner.keep_pretrained(key, {name: run for name, run in backbones.items() if run and name not in system.imported})
    for label, training in system.tasks.items():
        room.heads(label, training, backbones)
    classical = system.baselines.classical
    if classical:
        where = f"systems.{key}.baselines.classical"
        plan_classical(planner, key, where, classical, system.dataset, room.labelled_events)
    unet = system.baselines.sparse_unet
    if unet:
        for label, training in unet.tasks.items():
            where = f"systems.{key}.baselines.sparse_unet.tasks"
            planner.label(where, system.dataset, label, "classes")
            outputs = planner.outputs(where, system.dataset, label)
            plan_sparse_unet(planner, key, unet.filters, unet.depth, training, outputs, room.labelled_events)


class Room:
    """What the functions that add PoLAr-MAE runs share."""

    def __init__(self, planner: Planner, key: str, system: PolarMaeSystem) -> None:
        self.planner, self.key, self.system = planner, key, system
        self.labelled = planner.dataset(system.dataset)
        self.unlabelled = planner.dataset(system.pretrain_dataset or system.dataset)
        self.labelled_events = self.events(system.tokenizer)
        self.probe_label = None
        classes = planner.detector(system.dataset).classes()
        if system.probe and classes:
            self.probe_label = system.probe.label or next(iter(classes))
            planner.label(f"systems.{key}.probe.label", system.dataset, self.probe_label, "classes")

    def events(self, tokenizer: TokenizerConfig, *, pretraining: bool = False) -> dict[str, Any]:
        """Return the fields of a run that say on which events it works."""
        dataset = self.unlabelled if pretraining else self.labelled
        return {"dataset": dataset, "cache": self.planner.groups_cache(dataset, tokenizer)}

    def run(self, block: Block, slug: str, **fields: Any) -> str:
        return self.planner.run(system=self.key, block=block, slug=slug, **fields)

    def study(self, name: str, experiment: str, run: str, axis: str, value: object) -> None:
        self.planner.study(self.key, name, experiment, run, axis, value)

    def pretrain(
        self,
        objective: str,
        mask_ratio: float,
        seed: int,
        *,
        name: str = "",
        steps: int | None = None,
        tokenizer: TokenizerConfig | None = None,
        model: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        system = self.system
        train = system.pretrain
        if steps:
            train = train.model_copy(update={"steps": steps, "warmup_steps": min(train.warmup_steps, steps // 5)})
        settings = {
            n: getattr(system, n) for n in ("masking", "autoencode_weight", "chamfer", "probe_events")
        } | changes
        block = MaskedPretraining(
            objective=objective,
            mask_ratio=mask_ratio,
            model=system.model.model_copy(update=model or {}),
            train=train.model_dump(),
            seed=seed,
            **settings,
        )  # type: ignore[arg-type]
        tokenizer = tokenizer or system.tokenizer
        return self.run(
            block,
            f"pretrain-{objective}-{name or f'mask{mask_ratio:g}'}-s{seed}",
            stage="pretrain",
            recipe="polar_mae.pretrain",
            task="pretrain",
            version=2 if tokenizer.method == "fps_knn" else 1,  # groups scaled by their own extent
            pretrained=self.planner.start(self.key, objective, block.model),
            seed=seed,
            **self.events(tokenizer, pretraining=True),
        )

    def probe(
        self,
        study: str,
        experiment: str,
        value: tuple[str, object],
        pretrained: str | None,
        name: str,
        seed: int,
        tokenizer: TokenizerConfig | None = None,
    ) -> None:
        """Add a probe to a study; nothing without a class label."""
        if self.probe_label is None or self.system.probe is None:
            return
        block = self.system.probe.model_copy(update={"label": self.probe_label, "model": self.system.model})
        run = self.run(
            block,
            f"probe-{name}-s{seed}",
            stage="probe",
            recipe="polar_mae.probe",
            task="probe",
            pretrained=pretrained,
            seed=seed,
            **self.events(tokenizer or self.system.tokenizer),
        )
        self.study(study, experiment, run, *value)

    def pretraining(self) -> dict[str, str | None]:
        """Add pretraining, its studies and their probes; return the runs to start from by name."""
        system = self.system
        backbones: dict[str, str | None] = {"random": None, "none": None}
        for seed in system.seeds:
            for objective in system.objectives:
                run = self.pretrain(objective, system.mask_ratio, seed)
                backbones.setdefault(objective, run)
                self.study("pretrain", "pretrain", run, "objective", objective)
                self.probe("probe", "pretrain", ("start", objective), run, objective, seed)
            for objective in system.objectives if system.short_steps else []:
                slug = f"steps{system.short_steps}"
                run = self.pretrain(objective, system.mask_ratio, seed, name=slug, steps=system.short_steps)
                name = f"{objective}, {system.short_steps} steps"
                self.study("pretrain_short", "pretrain", run, "objective", name)
                self.probe("probe", "pretrain", ("start", name), run, f"{objective}-{slug}", seed)
            self.probe("probe", "pretrain", ("start", "random"), None, "random", seed)
            for ratio in sorted({system.mask_ratio, *system.mask_ratios}) if system.mask_ratios else []:
                run = self.pretrain("polar_mae", ratio, seed)
                self.study("mask_ratio", "ablations", run, "mask_ratio", ratio)
                name = "polar_mae" if ratio == system.mask_ratio else f"polar_mae-mask{ratio:g}"
                self.probe("mask_ratio_probe", "ablations", ("mask_ratio", ratio), run, name, seed)
            for name, tokenizer in _tokenizers(system).items():
                steps = system.grouping_study.steps if system.grouping_study else None
                run = self.pretrain("polar_mae", system.mask_ratio, seed, name=name, steps=steps, tokenizer=tokenizer)
                self.study("grouping", "ablations", run, "tokenizer", name)
                self.probe(
                    "grouping_probe", "ablations", ("tokenizer", name), run, f"polar_mae-{name}", seed, tokenizer
                )
            for name, changes in _variants(system).items():
                steps = system.variants.steps if system.variants else None
                run = self.pretrain("polar_mae", system.mask_ratio, seed, name=name, steps=steps, **changes)
                self.study("variants", "ablations", run, "variant", name)
                self.probe("variants_probe", "ablations", ("variant", name), run, f"polar_mae-{name}", seed)
        for name in system.imported:
            backbones[name] = name
            self.probe("probe", "pretrain", ("start", name), name, name, system.seeds[0])
        return backbones

    def heads(self, label: str, training: LabelledTraining, backbones: dict[str, str | None]) -> None:
        """Add the heads of one task: every start and mode, at every label count and seed."""
        system, study = self.system, self.system.heads
        classes = self.planner.outputs(f"systems.{self.key}.tasks", system.dataset, label)[label]
        for start in [s for s in (*study.starts, *system.imported) if s in backbones]:
            for mode in study.modes if start != "none" else [m for m in study.modes if m == "edges"]:
                for n_labels in training.labels:
                    for seed in training.seeds:
                        block = SegmentationConfig(
                            label=label,
                            classes=classes,
                            queries=study.queries,
                            mode="peft" if mode == "edges" else mode,
                            tuning=study.tuning if mode in ("last", "lora") else Tuning(),
                            start=start if start in ("random", "none") else "pretrained",
                            edge_head=study.edge_head if mode == "edges" else None,
                            n_labels=n_labels,
                            class_weights=study.class_weights,
                            model=system.model,
                            train=training.budget(n_labels).model_dump(),
                            seed=seed,
                        )  # type: ignore[arg-type]
                        run = self.run(
                            block,
                            f"{label}-{start}-{mode}-{n_labels}-s{seed}",
                            stage="finetune",
                            recipe="polar_mae.segment",
                            task=label,
                            pretrained=backbones[start],
                            n_labels=n_labels,
                            seed=seed,
                            **self.labelled_events,
                        )
                        self.study(f"heads_{label}", "finetune", run, "start/mode", f"{start}/{mode}")


def _tokenizers(system: PolarMaeSystem) -> dict[str, TokenizerConfig]:
    """Return the tokenizers of the grouping study by name, the system's own first; none without the study."""
    study = system.grouping_study
    if study is None:
        return {}
    base = system.tokenizer
    settings = {method: own.model_dump(exclude_none=True) for method, own in study.settings.items()}
    own = {m: base.model_copy(update={"method": m, **settings.get(m, {})}) for m in (base.method, *study.methods)}
    configs = [base, *(config for config in own.values() if config != base)]
    extremes: list[Method] = [*study.overlap_methods] or [base.method]
    for method in extremes:
        with_f = own.get(method, base.model_copy(update={"method": method}))
        configs += [with_f.model_copy(update={"overlap": f}) for f in study.overlaps if f != with_f.overlap]
    suppressed = ("cnms", "fps_cnms")
    return {c.method + (f"-f{c.overlap:g}" if c.method in suppressed else ""): c for c in configs}


def _variants(system: PolarMaeSystem) -> dict[str, dict[str, Any]]:
    """Return what each variant of the pretraining changes, the unchanged one first; none without the study."""
    if system.variants is None:
        return {}
    known: dict[str, dict[str, Any]] = {
        "autoencode": {"autoencode_weight": system.variants.autoencode_weight},
        "group_energy": {"model": {"group_energy": True}},
        "diffusion": {"model": {"decoder": "diffusion"}},
        "block_masking": {"masking": "block"},
        "random_masking": {"masking": "random"},
    }
    return {"base": {}, **{name: known[name] for name in system.variants.variants}}
