"""What the functions that add FM4NPP runs to a plan share: datasets, caches, pretraining and adapter runs."""

from typing import Any

from tpcfm.config.base import Block, LabelCount
from tpcfm.config.training import LabelledTraining
from tpcfm.models.fm4npp.settings import WIDTHS, AdapterConfig, Fm4nppModel
from tpcfm.models.tuning.settings import Way
from tpcfm.plan.planner import Planner
from tpcfm.prepare.sequences.settings import RELEASED_SERIALIZATION
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.system import Fm4nppSystem


class Room:
    """One FM4NPP system while its runs are added to a plan."""

    def __init__(self, planner: Planner, key: str, system: Fm4nppSystem) -> None:
        self.planner, self.key, self.system = planner, key, system
        self.labelled = planner.dataset(system.dataset)
        self.unlabelled = planner.dataset(system.pretrain_dataset or system.dataset)

    def run(self, block: Block, slug: str, **fields: Any) -> str:
        """Add a run of this system."""
        return self.planner.run(system=self.key, block=block, slug=slug, **fields)

    def study(self, name: str, experiment: str, run: str, axis: str, value: object) -> None:
        """Put a run into a study of this system."""
        self.planner.study(self.key, name, experiment, run, axis, value)

    def class_label(self, key: str, name: str) -> None:
        """Stop unless a label that a key of this system names has classes."""
        self.planner.label(f"systems.{self.key}.{key}", self.system.dataset, name, "classes")

    def events(self, dataset: str, order: str | None = None) -> dict[str, str]:
        """Return the fields of a run that say on which events it works."""
        serialization = self.system.serialization.model_copy(update={"order": order} if order else {})
        cache = self.planner.sequences_cache(dataset, serialization, self.system.targets, self.unlabelled)
        return {"dataset": dataset, "cache": cache}

    def labelled_events(self, order: str | None = None) -> dict[str, str]:
        """Return these fields for the labelled events."""
        return self.events(self.labelled, order)

    def imported_events(self, name: str) -> dict[str, str]:
        """Return them in the order and with the scaling of an imported model: the same events as every system's."""
        cut = {"max_points": self.system.serialization.max_points}
        serialization = RELEASED_SERIALIZATION.model_copy(update=cut)
        targets = self.system.targets
        cache = self.planner.sequences_cache(self.labelled, serialization, targets, self.unlabelled, model=name)
        return {"dataset": self.labelled, "cache": cache}

    def model(self, size: str, mixer: str | None = None, parameterization: str | None = None) -> Fm4nppModel:
        """Return the architecture of a named size."""
        changed = {"width": WIDTHS[size], "mixer": mixer or self.system.model.mixer}
        changed["parameterization"] = parameterization or self.system.model.parameterization
        return Fm4nppModel.model_validate({**self.system.model.model_dump(), **changed})

    def tuned(self, mode: Way) -> dict[str, Any]:
        """Return the settings of a head that trains its backbone in a mode; none of one that leaves it as it is."""
        return {} if mode == "frozen" else {"mode": mode, "tuning": self.system.adapters.tuning}

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
        """Add a pretraining run."""
        system = self.system
        full = system.steps_by_size.get(size, system.pretrain.steps)  # type: ignore[call-overload]
        budget = [f"steps{steps}"] * (steps not in (None, full))
        steps = max(1, round((steps or full) * compute))
        rate = learning_rate or system.pretrain.learning_rate
        warmup = min(system.pretrain.warmup_steps, steps // 5)
        changed = {"steps": steps, "warmup_steps": warmup, "learning_rate": rate}
        block = NeighbourPretraining(
            model=self.model(size, mixer, parameterization),
            targets=system.targets.model_copy(update=targets),
            train=system.pretrain.model_copy(update=changed).model_dump(),
            data_fraction=fraction,
            validation_events=system.validation_events,
            seed=seed,
        )  # type: ignore[arg-type]
        words = [f"data{fraction:g}"] * (fraction != 1) + [f"compute{compute:g}"] * (compute != 1)
        words += budget + [f"lr{rate:g}"] * (rate != system.pretrain.learning_rate)
        words += [name for name in (order, mixer, parameterization) if name]
        words += [f"{key}-{value}" for key, value in targets.items()]
        return self.run(
            block,
            "-".join(["pretrain", size, *map(str, words), f"s{seed}"]),
            stage="pretrain",
            recipe="fm4npp.pretrain",
            task="pretrain",
            version=2,  # mean over events of each event's mean
            pretrained=self.planner.start(self.key, size, block.model),
            seed=seed,
            **self.events(self.unlabelled, order),
        )

    def adapter(
        self,
        tasks: list[str],
        size: str,
        training: LabelledTraining,
        n_labels: LabelCount,
        seed: int,
        start: str,
        pretrained: str | None,
        order: str | None = None,
        mixer: str | None = None,
        name: str = "",
        events: dict[str, str] | None = None,
        **changes: Any,
    ) -> str:
        """Add an adapter run on one label column, or on several with classes."""
        system = self.system
        outputs = self.planner.outputs(f"systems.{self.key}.tasks", system.dataset, *tasks)
        block = AdapterConfig(
            outputs=outputs,
            start=start,
            n_labels=n_labels,
            width=system.adapters.width,
            queries=system.adapters.queries,
            reads=system.adapters.reads,
            mix_embedding=system.adapters.mix_embedding and start != "none",
            validation_events=system.validation_events,
            model=Fm4nppModel() if start == "imported" else self.model(size, mixer),
            train=training.budget(n_labels).model_dump(),
            seed=seed,
            **changes,
        )  # type: ignore[arg-type]
        task = "+".join(tasks)
        return self.run(
            block,
            f"{'-'.join(tasks)}-{name or f'{size}-{start}'}-{n_labels}-s{seed}",
            stage="finetune",
            recipe="fm4npp.find_tracks" if block.instances else "fm4npp.classify_points",
            task=task,
            pretrained=pretrained,
            n_labels=n_labels,
            seed=seed,
            **(events or self.labelled_events(order)),
        )
