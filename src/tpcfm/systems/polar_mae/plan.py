"""Runs of PoLAr-MAE: pretraining and its ablations, probes, few-label segmentation, the sparse U-Net."""

from typing import Any

from tpcfm.config.workflow import PolarMaeSystem
from tpcfm.plan.table import Planner
from tpcfm.systems.polar_mae.settings import MaskedPretraining, SegmentationConfig, SparseUNetConfig


def plan_polar_mae(planner: Planner) -> None:
    """Add everything of PoLAr-MAE to the plan."""
    system, source = planner.config.polar_mae, planner.config.data.lartpc
    assert system is not None
    assert source is not None
    dataset = planner.dataset(source, "pilarnet")
    cache = planner.groups_cache(dataset, system.tokenizer.model_dump(mode="json"))
    common: dict[str, Any] = {"family": "polar_mae", "dataset": dataset, "cache": cache}

    def pretrain(
        objective: str,
        mask_ratio: float,
        seed: int,
        *,
        name: str = "",
        steps: int | None = None,
        cache: str = cache,
        model: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        train = system.pretrain
        if steps:
            train = train.model_copy(update={"steps": steps, "warmup_steps": min(train.warmup_steps, steps // 5)})
        settings = {n: getattr(system, n) for n in ("masking", "autoencode_weight", "probe_events")} | changes
        block = MaskedPretraining(
            objective=objective,
            mask_ratio=mask_ratio,
            model=system.model.model_copy(update=model or {}),
            train=train,
            seed=seed,
            **settings,
        )  # type: ignore[arg-type]
        return planner.run(
            slug=f"pretrain-{objective}-{name or f'mask{mask_ratio:g}'}-s{seed}",
            stage="pretrain",
            recipe="polar_mae.pretrain",
            task="pretrain",
            config=block.model_dump(mode="json"),
            seed=seed,
            **{**common, "cache": cache},
        )

    def probe(pretrained: str | None, name: str, seed: int, cache: str = cache) -> str:
        config = system.probe.model_dump(mode="json") | {"model": system.model.model_dump(mode="json")}
        return planner.run(
            slug=f"probe-{name.lower()}-s{seed}",
            stage="probe",
            recipe="polar_mae.probe",
            task="probe",
            config=config,
            pretrained=pretrained,
            seed=seed,
            **{**common, "cache": cache},
        )

    backbones: dict[str, str | None] = {"random": None}
    for seed in system.seeds:
        for objective in system.objectives:
            run = pretrain(objective, system.mask_ratio, seed)
            backbones.setdefault(objective, run)
            planner.study("pretrain_polar_mae", "pretrain", run, "objective", objective)
            planner.study("probe", "pretrain", probe(run, objective, seed), "start", objective)
        planner.study("probe", "pretrain", probe(None, "random", seed), "start", "random")
        if system.mask_ratios:
            for ratio in sorted({system.mask_ratio, *system.mask_ratios}):
                run = pretrain("polar_mae", ratio, seed)
                planner.study("mask_ratio", "ablations", run, "mask_ratio", ratio)
                name = "polar_mae" if ratio == system.mask_ratio else f"polar_mae-mask{ratio:g}"
                planner.study("mask_ratio_probe", "ablations", probe(run, name, seed), "mask_ratio", ratio)
        for name, settings in _tokenizers(system).items():
            other = planner.groups_cache(dataset, settings)
            steps = system.grouping_study.steps if system.grouping_study else None
            run = pretrain("polar_mae", system.mask_ratio, seed, name=name, steps=steps, cache=other)
            planner.study("grouping", "ablations", run, "tokenizer", name)
            chosen = probe(run, f"polar_mae-{name}", seed, other)
            planner.study("grouping_probe", "ablations", chosen, "tokenizer", name)
        for name, changes in _variants(system).items():
            steps = system.variants.steps if system.variants else None
            run = pretrain("polar_mae", system.mask_ratio, seed, name=name, steps=steps, **changes)
            planner.study("variants", "ablations", run, "variant", name)
            planner.study("variants_probe", "ablations", probe(run, f"polar_mae-{name}", seed), "variant", name)

    for name in system.imported:
        backbones[name] = name
        planner.study("probe", "pretrain", probe(name, name, system.seeds[0]), "start", name)

    study = system.segmentation
    for start in [*study.starts, *system.imported]:
        if start not in backbones:
            continue
        for mode in study.modes:
            for n_labels in study.labels:
                for seed in study.seeds:
                    block = SegmentationConfig(
                        mode=mode,
                        start="random" if start == "random" else "pretrained",
                        n_labels=n_labels,
                        class_weights=study.class_weights,
                        model=system.model,
                        train=study.budget(n_labels),
                        seed=seed,
                    )
                    run = planner.run(
                        slug=f"segment-{start.lower()}-{mode}-{n_labels}-s{seed}",
                        stage="finetune",
                        recipe="polar_mae.segment",
                        task="segmentation",
                        config=block.model_dump(mode="json"),
                        pretrained=backbones[start],
                        n_labels=n_labels,
                        seed=seed,
                        **common,
                    )
                    planner.study("segmentation", "finetune", run, "start/mode", f"{start}/{mode}")

    if system.sparse_unet:
        for n_labels in system.sparse_unet.labels:
            for seed in system.sparse_unet.seeds:
                unet = SparseUNetConfig(
                    n_labels=n_labels,
                    filters=system.sparse_unet_filters,
                    depth=system.sparse_unet_depth,
                    train=system.sparse_unet.budget(n_labels),
                    seed=seed,
                )
                run = planner.run(
                    slug=f"sparse_unet-{n_labels}-s{seed}",
                    stage="baseline",
                    recipe="baselines.sparse_unet",
                    task="segmentation",
                    config=unet.model_dump(mode="json"),
                    n_labels=n_labels,
                    seed=seed,
                    **common,
                )
                planner.study("segmentation_baselines", "baselines", run, "model", "sparse_unet")


def _tokenizers(system: PolarMaeSystem) -> dict[str, dict[str, Any]]:
    """Return the tokenizers of the grouping study by name, the system's own first; none without the study."""
    study = system.grouping_study
    if study is None:
        return {}
    base = system.tokenizer
    configs = [base, *(base.model_copy(update={"method": m}) for m in study.methods if m != base.method)]
    configs += [base.model_copy(update={"overlap": f}) for f in study.overlaps if f != base.overlap]
    suppressed = ("cnms", "fps_cnms")
    return {
        c.method + (f"-f{c.overlap:g}" if c.method in suppressed else ""): c.model_dump(mode="json") for c in configs
    }


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
