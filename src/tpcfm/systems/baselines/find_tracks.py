"""Baselines of a label with instances, on the labelled events of the adapters (arXiv 2508.14087, Sec. 5 and App. C)."""

import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.losses.track_embedding import EdgeLoss, EggNetLoss, EmbeddingLoss, HeptLoss
from tpcfm.models.baselines.exatrkx import STAGES, ExaTrkx
from tpcfm.plan.run import Run
from tpcfm.systems.baselines.baseline_task import BaselineTask
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import KINDS, TrackBatches, TrackSystem
from tpcfm.tasks.clustering_choice import Choice, Chosen, choose
from tpcfm.tasks.instances import InstanceScores
from tpcfm.tasks.labelled import SHOWN_EVENTS, shown_events
from tpcfm.tasks.support import spread
from tpcfm.train import FitResult, Objective, to_device
from tpcfm.workspace import Workspace

TITLES = {
    "eggnet": "EggNet",
    "exatrkx": "Exa.TrkX",
    "hept": "HEPT",
    "kalman": "Cellular automaton and Kalman filter (classical reference)",
}


class TrackTask(BaselineTask):
    """A run that finds instances: training in one or several stages, choice of the clustering, scores."""

    def __init__(self, run: Run, workspace: Workspace, device: str | None, block: TrackBaselineConfig) -> None:
        super().__init__(run, workspace, device, block, TrackBatches(block.model))
        self.block = block
        torch.manual_seed(block.seed)
        self.system = TrackSystem(block, self.store.detector)

    def learn(self, max_seconds: float | None) -> FitResult | None:
        """Train the network of the system; None for the Kalman filter."""
        block, network = self.block, self.system.network
        if block.kalman:
            return None
        objective: Objective
        if not isinstance(network, ExaTrkx):
            if block.eggnet:
                objective = EggNetLoss(block.eggnet.margin, block.eggnet.hard_negatives, block.label)
            else:
                assert block.hept is not None
                hept = block.hept
                objective = HeptLoss(hept.negatives, hept.temperature, hept.sigma, block.label)
            return self.train(network, objective, max_seconds)
        network.to(self.device)  # the stages that stand still are needed there too
        begun, results = time.monotonic(), []
        ends = np.cumsum([0, *network.config.stage_steps]) * self.settings.steps
        for stage, steps in zip(STAGES, np.diff(ends.round().astype(int)).tolist(), strict=True):
            part = getattr(network, stage)
            embedding = EmbeddingLoss(network.config.margin, network.config.hard_negatives, block.label)
            objective = embedding if stage == "embedding" else EdgeLoss(network, stage, block.label)
            left = None if max_seconds is None else max_seconds - (time.monotonic() - begun)
            results.append(self.train(part, objective, left, stage=stage, steps=max(1, steps)))
            if stage == "filter":
                self._let_true_edges_pass(network)
        last, history, before = results[-1], [], 0
        for number, result in enumerate(results, start=1):
            history += [{**row, "step": before + row["step"], "stage": number} for row in result.history]
            before += result.steps
        return FitResult(before, last.best_step, last.best_value, sum(r.seconds for r in results), history)

    @torch.no_grad()
    def _let_true_edges_pass(self, network: ExaTrkx) -> None:
        """Lower the threshold of the filter, if need be, on validation events."""
        network.to(self.device).eval()
        scores = []
        for _, batch in self.batches(spread(self.validation, self.block.tuning_events)):
            tensors = to_device(batch, self.device)
            edges, track = network.near_pairs(tensors), tensors[self.block.label]
            same = (track[edges[0]] == track[edges[1]]) & (track[edges[0]] >= 0)
            scores.append(network.filter_logits(tensors, edges[:, same]).float().sigmoid())
        network.let_pass(torch.cat(scores))

    @torch.no_grad()
    def choose(self) -> Chosen:
        """Return the clustering with the largest ARI on validation events."""
        network = self.system.network.to(self.device).eval()
        events: list[tuple[Any, Any]] = []
        for _, batch in self.batches(spread(self.validation, self.block.tuning_events)):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                answer = network(to_device(batch, self.device))
            bounds = batch["offsets"].tolist()
            truth = [batch[self.block.label][start:stop] for start, stop in pairwise(bounds)]
            events += zip(truth, self.system.split(batch, answer), strict=True)

        def score(choices: Iterable[Choice]) -> list[float]:
            tallies = []
            for choice in choices:
                tallies.append(TrackingTally())
                for truth, event in events:
                    tallies[-1].update(truth, self.system.cluster(event, choice))
            return [tally.values()["ari"] for tally in tallies]

        return choose(self.system.values, KINDS, score)

    def cost_rows(self, model: nn.Module, result: FitResult) -> list[dict[str, Any]]:
        """Return the costs; without those of a training for the Kalman filter."""
        rows = super().cost_rows(model, result)
        return [row for row in rows if not self.block.kalman or row["metric"] in ("parameters", "events_per_second")]


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train a track finder from scratch, resuming if there is a state; write model directory, metrics and predictions.

    Events, label subset, selection and metrics are those of ``find_tracks``. The clustering is chosen on validation
    events (so the ``_calibrated`` rows say the same again); scores under the published one are rows of their own, with the
    parameters as class.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(TrackBaselineConfig)
    task = TrackTask(run, workspace, device, block)
    system = task.system
    result = task.learn(max_seconds)
    started = time.monotonic()
    chosen = task.choose()
    choice = chosen.choice
    tuning_seconds = time.monotonic() - started

    label = block.label
    scores = InstanceScores(task.store, label)
    others = {choice_name(c): (c, InstanceScores(task.store, label)) for c in system.published}
    shown: list[dict[str, Any]] = []
    for rows, batch, answer in task.predict(system.network):
        started = time.perf_counter()
        events = list(system.split(batch, answer))
        found = np.concatenate([system.cluster(event, choice) for event in events])
        task.inference_seconds += time.perf_counter() - started
        scores.update(rows, batch, found, found)
        for other, tally in others.values():
            tally.update(rows, batch, np.concatenate([system.cluster(event, other) for event in events]))
        shown += shown_events(task.store, rows, batch, batch[label], found, SHOWN_EVENTS - len(shown))

    scores.write(task.folder)
    metrics = task.metric_rows(label, scores.values(), scores.intervals())
    for name, (_, tally) in others.items():
        metrics += task.metric_rows(label, tally.values(), tally.intervals(), name=name)
    metrics += task.metric_rows(label, {"ari": chosen.value}, split="validation")
    metrics += task.metric_rows(label, {f"clustering_{key}": float(value) for key, value in choice.items()}, split="")
    tuning = {"tuning_seconds": tuning_seconds, "tuned_at_edge": float(chosen.at_edge), "tuning_choices": chosen.tried}
    if isinstance(system.network, ExaTrkx):
        tuning["filter_threshold"] = float(system.network.filter_threshold)
    metrics += task.metric_rows(label, tuning, split="")
    if block.kalman:
        _keep(system.network, choice)
    task.leave(
        system.network,
        result or FitResult(0, None, None, tuning_seconds, []),
        metrics,
        shown,
        title=f"{TITLES[block.model]}, {label}" + (f", {task.n_labels} labelled events" if result else ""),
        what=f"Baseline; clustering chosen on validation events: {choice_name(choice)}.",
        config={
            "architecture": f"baseline_{block.model}",
            "baseline": block.model_dump(mode="json"),
            "clustering": choice,
        },
    )


def choice_name(choice: Choice) -> str:
    """Return the parameters of a clustering as the metrics table names them."""
    return ", ".join(f"{key} {value:g}" for key, value in choice.items())


def _keep(network: nn.Module, choice: Choice) -> None:
    """Put the cuts chosen into the buffer that is saved."""
    from tpcfm.tracking.finder import TrackerSettings

    settings = TrackerSettings()._replace(**choice)  # type: ignore[arg-type]
    network.register_buffer("settings", torch.tensor(settings, dtype=torch.float64))
