"""The training loop: one function for every model; exact, resumable, stoppable, the same on one process or many."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tpcfm.config.training import TrainConfig
from tpcfm.errors import CheckpointError, Interrupted, MachineError
from tpcfm.losses.objective import Objective, term_names
from tpcfm.train import rng
from tpcfm.train.batches import to_device
from tpcfm.train.checkpoint import Checkpoints
from tpcfm.train.distributed import Ranks, join
from tpcfm.train.evaluation import weighted
from tpcfm.train.lock import StateLock
from tpcfm.train.log import MetricsLog, words
from tpcfm.train.model_setup import set_up
from tpcfm.train.optimizer import clip_gradients, make_optimizer
from tpcfm.train.progress import Progress
from tpcfm.train.schedule import set_rates
from tpcfm.train.signals import StopRequest
from tpcfm.train.source import MicroBatches, PackedSource
from tpcfm.train.standing import FitResult, Standing, monitored
from tpcfm.train.tracking import Mirror, from_environment
from tpcfm.train.watch import FiniteWatch
from tpcfm.train.window import Window

_log = logging.getLogger("tpcfm.train")
Validate = Callable[[nn.Module, int], Mapping[str, float]]


def fit(
    model: nn.Module,
    objective: Objective,
    source: PackedSource,
    config: TrainConfig,
    *,
    state: Path | str,
    identity: Mapping[str, Any],
    seed: int,
    validate: Validate | None = None,
    monitor: str = "loss",
    keep: Literal["best", "last"] = "best",
    parameter_groups: Iterable[Mapping[str, Any]] | None = None,
    max_seconds: float | None = None,
    device: torch.device | str | None = None,
) -> FitResult:
    """Train a model, or continue from what ``state`` holds.

    On the CPU a training that was stopped and continued ends with the same bits as one that was not. Under torchrun all
    ranks call this alike; gradients are exact over ranks and micro-batches (see ``Objective``).

    Args:
        model: moved to the device; afterwards it holds the best or the last weights.
        objective: the loss.
        source: the training data; its seed names the order.
        config: optimiser, schedule and budget.
        state: folder of checkpoints, lock and log; never a declared output of a workflow.
        identity: plain values that name what is trained (config hash, data fingerprint); a state folder of another
            identity stops the training.
        seed: seeds dropout and whatever else draws from the global generators.
        validate: ``validate(model, step) -> values``, called on the first process in evaluation mode without
            gradients; keyed by itself, since it cannot move the training's generators.
        monitor: the validated value that should become small; with a leading "-" it should become large ("-f1").
        keep: which weights the model ends with; "best" needs ``validate``, else the last are kept.
        parameter_groups: see ``make_optimizer``.
        max_seconds: stop, save and raise ``Interrupted`` before this much time has passed.
        device: None takes this rank's CUDA device, or the CPU.

    Raises:
        Interrupted: state is saved; the same call continues.
        CheckpointError: ``state`` belongs to another run or is damaged.
        DivergenceError: a loss or gradient was not finite.
        MachineError: another process holds ``state``, or it cannot be written.
    """
    stop = StopRequest(max_seconds)
    ranks = join(device)
    with ExitStack() as stack:
        lock = None
        if ranks.is_main:
            begin = stack.enter_context(words(Path(state) / "train.log"))
            lock = stack.enter_context(StateLock(Path(state)))
            begin()
        ranks.from_main(None)  # nobody reads the state before it is ours
        stack.enter_context(stop.listening())
        trainer = _Trainer(model, objective, source, config, Path(state), dict(identity), seed, ranks, lock)
        trainer.prepare(parameter_groups, validate, monitor)
        if not trainer.at.complete:
            stack.push(trainer.close_mirror)
            try:
                trainer.run(stop)
            except torch.OutOfMemoryError as error:
                where, budget = f"{trainer.state.name}: step {trainer.at.step}", config.max_points
                raise MachineError(
                    f"{where}: out of GPU memory with train.max_points {budget}; lower it (the batch is then cut into more "
                    "micro-batches, with the same result), or switch on train.activation_checkpointing"
                ) from error
        return trainer.finish(keep)


class _Trainer:
    """The state of one ``fit``."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        source: PackedSource,
        config: TrainConfig,
        state: Path,
        identity: dict[str, Any],
        seed: int,
        ranks: Ranks,
        lock: StateLock | None,
    ) -> None:
        self.model, self.objective, self.source, self.config = model, objective, source, config
        self.state, self.seed, self.ranks, self.lock = state, seed, ranks, lock
        plain = json.loads(json.dumps({**identity, "seed": seed}, default=str))  # as it will be read back
        self.checkpoints = Checkpoints(state, plain)
        self.at = Standing()
        self.terms = term_names(objective)
        self.mirror: Mirror | None = None
        self.begun, self.before = time.monotonic(), 0.0
        self.slowest = 0.0
        self.evaluate_every = config.evaluate_every or max(1, config.steps // 10)

    def prepare(self, groups: Iterable[Mapping[str, Any]] | None, validate: Validate | None, monitor: str) -> None:
        """Set up everything, from the newest checkpoint if there is one."""
        self.validate, self.monitor = validate, monitor
        set_up(self.model, self.config, self.ranks, self.source)
        self.optimizer = make_optimizer(self.model, self.config, groups)
        self.parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        self.watch = FiniteWatch(self.state, self.ranks)
        content = self.checkpoints.load() if self.ranks.is_main else None
        self.ranks.from_main(None)  # what is set aside has gone before the others look
        if not self.ranks.is_main:
            content = self.checkpoints.load()
        self.resumed = content is not None
        if content is None:
            rng.seed_all(self.seed, f"rank {self.ranks.rank}")
            self.ranks.share_model(self.model)
        else:
            self._restore(content)
        self.window = Window(self.terms, self.at.window)
        keep_until = self.at.step if self.resumed else None
        self.log = MetricsLog(self.state / "metrics.jsonl", keep_until) if self.ranks.is_main else None

    def run(self, stop: StopRequest) -> None:
        """Take the steps that are left."""
        config = self.config
        progress = Progress(self.state.name, self.at.step, config.steps, shown=self.ranks.is_main)
        if self.ranks.is_main:
            plain = {**self.checkpoints.identity, **config.model_dump()}
            self.mirror = from_environment(self.state.name, plain, self.at.tracking)
        if self.resumed:
            progress.note("continues at step %d of %d", self.at.step, config.steps)
        elif self.validate:
            self._validate(progress, counts=False)
        self.model.train()
        first = self.at.step
        batches = self.source.stream(first, config.steps, self.ranks.rank, self.ranks.world)
        try:
            while self.at.step < config.steps and not self.at.complete:
                started = time.monotonic()
                counts, reason = self._counts(micro := next(batches), stop)
                if reason:
                    self._save()
                    raise Interrupted(
                        f"{self.state.name}: stopped at step {self.at.step} of {config.steps} ({reason}); saved"
                    )
                rate = self._step(micro, counts)
                self.at.step += 1
                progress.step(self.at.step)
                self._bookkeeping(progress, rate)
                if self.at.step > first + 1:  # the first step compiles and allocates: it says nothing about the next
                    self.slowest = max(self.slowest, time.monotonic() - started)
        finally:
            batches.close()
            progress.close()

    def finish(self, keep: str) -> FitResult:
        """Leave the asked weights in the model."""
        if keep == "best" and self.at.best_step is not None:
            self.model.load_state_dict(self.checkpoints.load_best(self.at.best_step))
        self.model.eval()
        history = self.ranks.from_main(self.log.rows if self.log else None)
        return FitResult(self.at.step, self.at.best_step, self.at.best_value, self.at.seconds, history)

    def close_mirror(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        """Tell the tracking server how it ended, if there is one."""
        if self.mirror:
            stopped = kind is not None and issubclass(kind, Interrupted)
            self.mirror.close("FINISHED" if kind is None else "SCHEDULED" if stopped else "FAILED")

    def _counts(self, micro: MicroBatches, stop: StopRequest) -> tuple[dict[str, float], str | None]:
        """Return the step's denominators over all ranks, and why to stop, the same on all ranks."""
        counts = dict.fromkeys(self.terms, 0.0)
        for info, batch in micro:
            for name, value in self.objective.counts(batch, info).items():
                counts[name] += float(value)
        reason = stop.reason(2 * self.slowest)
        *sums, stopping = self.ranks.sum([*counts.values(), float(reason is not None)])
        return dict(zip(counts, sums)), (reason or "asked on another rank") if stopping else None

    def _step(self, micro: MicroBatches, counts: dict[str, float]) -> float:
        """Take one optimiser step; return the learning rate."""
        device, config = self.ranks.device, self.config
        rate = set_rates(self.optimizer.param_groups, self.at.step, config)
        self.optimizer.zero_grad(set_to_none=True)
        means = {name: torch.zeros((), device=device) for name in self.terms if counts[name]}
        for info, batch in micro:
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                sums = self.objective.sums(self.model, to_device(batch, device), info)
            parts = {name: sums[name].float() / counts[name] for name in means}
            loss = weighted(self.objective, {n: v for n, v in parts.items() if self.objective.weights[n]})
            if isinstance(loss, Tensor) and loss.requires_grad:
                loss.backward()
            for name, value in parts.items():
                means[name] += value.detach()
        self.ranks.sum_gradients(self.parameters)
        norm = clip_gradients(self.parameters, config)
        loss_value = torch.as_tensor(weighted(self.objective, means), device=device)
        self.watch.add(self.at.step, micro, loss_value, norm)
        if device.type == "cpu":
            self.watch.check()
        self.optimizer.step()
        self.window.add(means, loss_value, norm, micro)
        return rate

    def _bookkeeping(self, progress: Progress, rate: float) -> None:
        """Log, validate and save what is due after a step."""
        step, config = self.at.step, self.config
        last = step == config.steps
        if last or step % config.log_every == 0:
            self.watch.check()
            values = self.window.close(self.ranks)
            epoch = self.source.epoch(step - 1)
            row = {"step": step, "split": "train", "epoch": epoch, **values, "lr": rate, "seconds": self._seconds()}
            self._record(row)
            progress.values(step, row)
        if self.validate and (last or step % self.evaluate_every == 0):
            self._validate(progress, counts=True)
        if last or self.at.complete or step % config.checkpoint_every == 0:
            self.at.complete = self.at.complete or last
            self._save()

    def _validate(self, progress: Progress, *, counts: bool) -> None:
        """Validate on the first process, tell the others, and note the best."""
        assert self.validate is not None
        self.watch.check()
        values: dict[str, float] | None = None
        if self.ranks.is_main:
            self.model.eval()
            with torch.no_grad(), rng.preserved(self.ranks.device):
                values = {k: float(v) for k, v in self.validate(self.model, self.at.step).items()}
            self.model.train()
        values = self.ranks.from_main(values)
        shown = monitored(values, self.monitor)
        self._record({"step": self.at.step, "split": "validation", **values})
        progress.note("step %d validation %s %.5g", self.at.step, self.monitor.removeprefix("-"), shown)
        if not counts:
            return
        if self.at.judge(values, self.monitor, self.config.patience):
            if self.ranks.is_main:
                self.checkpoints.save_best(self.at.step, self.model.state_dict())
        elif self.at.complete:
            progress.note("nothing better for %d validations: stopping early", self.at.worse)

    def _record(self, row: dict[str, Any]) -> None:
        if self.log:
            self.log.add(row)
        if self.mirror:
            self.mirror.add(row)
            self.at.tracking = self.mirror.run_id

    def _save(self) -> None:
        self.watch.check()
        self.at.seconds = self._seconds()
        generators = self.ranks.gather(rng.get_state(self.ranks.device))
        window = self.ranks.gather(self.window.content())
        if self.ranks.is_main:
            assert self.lock is not None
            self.lock.check()
            content = {
                **vars(self.at),
                "window": window,
                "world": self.ranks.world,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "rng": generators,
            }
            self.checkpoints.save(self.at.step, content, self.at.best_step)

    def _restore(self, content: dict[str, Any]) -> None:
        rank, same = self.ranks.rank, content["world"] == self.ranks.world
        try:
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
        except (ValueError, RuntimeError, KeyError) as error:
            raise CheckpointError(f"{self.state}: the checkpoint does not fit the model: {error}") from error
        if same:
            rng.set_state(content["rng"][rank], self.ranks.device)
        else:
            ranks = (content["world"], self.ranks.world)
            _log.warning("checkpoint of %d ranks, now %d: same data order, fresh dropout draws", *ranks)
            rng.seed_all(self.seed, f"rank {rank} of {self.ranks.world} from step {content['step']}")
        self.at = Standing.restored(content, rank, same)
        self.before = content["seconds"]

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.begun
