"""Device seconds of every run of the plan, by recipe: formulas with stated assumptions, good to a factor of a few.

Runs that may stop early (``patience``) are counted with their whole budget.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tpcfm.config.training import TrainConfig
from tpcfm.files import read_json
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan
from tpcfm.scaling import parameters as count
from tpcfm.scaling.devices import Assumptions, Device
from tpcfm.scaling.events import amount
from tpcfm.scaling.ladder import forward_seconds, pretraining_seconds, training_seconds
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.study_settings import CoordinateCheck
from tpcfm.workspace import Workspace

TOKENS_PER_EVENT = 400.0  # arXiv 2502.02558, Sec. 3
FEATURE_BYTES = 2  # the features of a frozen backbone are kept in half precision
ADAPTER_BYTES = 1000.0  # moved per point, adapter channel and block in training
MIX_BYTES = 40.0  # moved per point, layer and channel of the backbone by the mix of its layers
DENSE_CPU, SPARSE_CPU = 0.4, 0.2  # shares of the peak on a CPU core
KALMAN_SECONDS_PER_EVENT = 0.12
PROBE_SECONDS_PER_EVENT = 0.02  # support-vector machines, on the CPU
# Trained parameters of the comparison systems at the paper's size (arXiv 2508.14087, Table 2), the width they belong to, and how
# often each point passes through them: edges per point, or iterations. (Most weights of the voxel network sit at coarse levels with few
# voxels, and few of the 27 offsets of a kernel are filled: the share is that of the demo.)
COMPARISON: dict[str, tuple[float, int, float]] = {
    "sage": (0.91e6, 256, 1),
    "graph_conv": (0.91e6, 256, 1),
    "gcn": (0.91e6, 256, 1),
    "gat": (0.91e6, 256, 2),
    "voxel_unet": (45e6, 64, 0.05),
    "eggnet": (0.16e6, 64, 40),
    "exatrkx": (3.86e6, 128, 3),
    "hept": (0.31e6, 24, 3),
}


class RunCost:
    """Estimates of one plan on one device."""

    def __init__(self, plan: Plan, device: Device, assumed: Assumptions) -> None:
        self.plan, self.device, self.assumed = plan, device, assumed
        self.results = Path(plan.config["results"])
        self._per_event: dict[str, float] = {}
        self.estimators: Mapping[str, Callable[[Run], float]] = {
            "fm4npp.pretrain": self._pretraining,
            "fm4npp.find_tracks": self._adapter,
            "fm4npp.classify_points": self._adapter,
            "fm4npp.coordinate_check": self._coordinates,
            "polar_mae.pretrain": self._masked,
            "polar_mae.segment": self._segmentation,
            "polar_mae.probe": self._probe,
            "baselines.sparse_unet": self._sparse_unet,
            "baselines.classify_points": self._comparison,
            "baselines.find_tracks": self._comparison,
        }

    def seconds(self, run: str) -> float | None:
        """Return the device seconds of a run; None for a recipe without an estimate."""
        entry = self.plan.runs[run]
        estimate = self.estimators.get(entry.recipe)
        return None if estimate is None else self.assumed.startup + estimate(entry)

    def scratch(self, run: str) -> float:
        """Return the bytes that the features of a frozen backbone take while an adapter trains."""
        entry = self.plan.runs[run]
        if entry.recipe not in ("fm4npp.find_tracks", "fm4npp.classify_points"):
            return 0.0
        block = self._adapter_config(entry)
        if block.start == "none":
            return 0.0
        events = block.n_labels + block.validation_events
        return FEATURE_BYTES * block.layers * block.model.width * events * self.per_event(entry.dataset)

    def per_event(self, dataset: str) -> float:
        """Return the points per event of a dataset."""
        if dataset not in self._per_event:
            self._per_event[dataset] = amount(self.plan.datasets[dataset], self.results).points_per_event
        return self._per_event[dataset]

    def _dense(self, flops: float, precision: str, sparse: bool = False) -> float:
        share = self.assumed.sparse if sparse else self.assumed.dense
        if not self.device.gpu:
            share = SPARSE_CPU if sparse else DENSE_CPU
        return flops / (self.device.peak(precision) * (self.assumed.utilisation or share))

    def _pretraining(self, run: Run) -> float:
        block = run.block(NeighbourPretraining)
        whole = pretraining_seconds(block, self.per_event(run.dataset), self.device, self.assumed)
        return whole - self.assumed.startup

    def _coordinates(self, run: Run) -> float:
        block = run.block(CoordinateCheck)
        points = block.events * self.per_event(run.dataset) * len(block.seeds)
        total = 0.0
        for width in block.widths:
            model = block.model.model_copy(update={"width": width})
            total += training_seconds(model, block.steps * points, 30, "float32", self.device, self.assumed)
            # Activations and predictions are looked at before and after every step.
            total += forward_seconds(model, 2 * (block.steps + 1) * points, "float32", self.device, self.assumed)
        return total

    def _adapter_config(self, run: Run) -> AdapterConfig:
        """Return the settings of an adapter, with the backbone that imported weights have once they are there."""
        block = run.block(AdapterConfig)
        imported = Workspace(self.results).run(str(run.pretrained)) / "config.json"
        if block.start != "imported" or not imported.is_file():
            return block
        return block.model_copy(update={"model": Fm4nppModel.model_validate(read_json(imported)["model"])})

    def _adapter(self, run: Run) -> float:
        block = self._adapter_config(run)
        train, per_event = block.train, self.per_event(run.dataset)
        seen = train.steps * train.batch_size * per_event
        checked = _validations(train) * block.validation_events * per_event
        layers = block.layers
        tested = self._split(run.dataset, "test") * per_event
        attention = 4.0 * per_event * block.width * (0 if block.instances else block.attention_layers)
        if block.instances:
            attention = 6.0 * block.queries * block.width * (block.decoder_layers + 1)
        per_point = 2.0 * count.adapter(block, layers) + attention
        if block.instances:  # queries do not grow with the points
            per_point = 2.0 * (count.adapter_input(block, layers) + 4 * block.width**2) + attention
        head = self._dense(per_point * (3 * seen + checked + tested), train.precision)
        blocks = 1 + (block.decoder_layers if block.instances else block.attention_layers)
        bytes_ = ADAPTER_BYTES * block.width * blocks + MIX_BYTES * layers * block.model.width
        if self.assumed.utilisation is None:
            head += bytes_ * (seen + checked / 3) / (self.device.bandwidth * self.assumed.traffic)
        if block.start == "none":
            return head
        head += FEATURE_BYTES * layers * block.model.width * (seen + checked) / self.device.link
        once = (block.n_labels + block.validation_events) * per_event + tested
        return head + forward_seconds(block.model, once, "float32", self.device, self.assumed)

    def _split(self, dataset: str, split: str) -> float:
        """Return the events of a split: shares of a split by hash, or the published numbers."""
        found = self.plan.datasets[dataset]
        if found.source["split"]["by"] == "hash":
            return float(found.source["split"][split]) * amount(found, self.results).events
        return {"test": 7_000.0, "validation": 13_000.0}[split]

    def _transformer(self, model: Mapping[str, Any], tokens: float, mask_ratio: float, decoder: bool) -> float:
        """Return the training operations per event: PointNet on every point of a token, encoder on what is seen, decoder on all."""
        width, hidden = model["width"], model["embed_hidden"] or max(1, model["width"] // 3)
        pointnet = 32 * (4 * hidden + 2 * hidden**2 + 16 * hidden**2 + 4 * hidden * width)
        block = (4 + 2 * model["mlp_ratio"]) * width**2
        seen = tokens * (1 - mask_ratio)
        encoder = model["depth"] * seen * (block + 2 * seen * width)
        rest = model["decoder_depth"] * tokens * (block + 2 * tokens * width) if decoder else 0.0
        return 6.0 * (tokens * pointnet + encoder + rest)

    def _masked(self, run: Run) -> float:
        train = TrainConfig.model_validate({**run.config["train"], **run.execution})
        events = train.steps * train.batch_size
        flops = self._transformer(run.config["model"], TOKENS_PER_EVENT, run.config["mask_ratio"], decoder=True)
        checked = _validations(train) * self._split_of(run, "validation") / 3
        return self._dense(flops * (events + checked), train.precision)

    def _split_of(self, run: Run, split: str) -> float:
        return self._split(run.dataset, split)

    def _segmentation(self, run: Run) -> float:
        train = TrainConfig.model_validate({**run.config["train"], **run.execution})
        flops = self._transformer(run.config["model"], TOKENS_PER_EVENT, 0.0, decoder=False)
        # The head sees every point; a frozen encoder only runs forward.
        flops += 6.0 * 1.0e6 * (run.config["model"]["width"] / 384) ** 2 * self.per_event(run.dataset)
        share = 1 / 3 if run.config["mode"] == "peft" else 1.0
        checked = _validations(train) * min(self._split_of(run, "validation"), 1000.0) / 3
        return self._dense(flops * (share * train.steps * train.batch_size + checked), train.precision)

    def _probe(self, run: Run) -> float:
        events = run.config["train_events"] + run.config["test_events"]
        return PROBE_SECONDS_PER_EVENT * events * len(run.config["seeds"])

    def _sparse_unet(self, run: Run) -> float:
        train = TrainConfig.model_validate({**run.config["train"], **run.execution})
        # A kernel of 27 offsets, of which a track fills about 9; levels halve the voxels and widen the channels.
        filters, depth = run.config["filters"], run.config["depth"]
        per_point = sum(2 * 4 * 9 * ((i + 1) * filters) ** 2 / 2**i for i in range(depth))
        events = train.steps * train.batch_size + _validations(train) * self._split_of(run, "validation") / 3
        return self._dense(6.0 * per_point / 2 * events * self.per_event(run.dataset), train.precision, sparse=True)

    def _comparison(self, run: Run) -> float:
        config = run.config
        model = config["model"]
        if model == "kalman":
            tried = 1
            for grid in config["kalman"].values():
                tried *= len(grid)
            return KALMAN_SECONDS_PER_EVENT * (config["tuning_events"] * tried + self._split(run.dataset, "test"))
        train = TrainConfig.model_validate(config["train"])
        parameters, full_width, passes = COMPARISON[model]
        network = config.get("graph") or config.get("voxel") or config[model]
        width = network.get("filters") or network["width"]
        per_point = parameters * (width / full_width) ** 2 * passes
        events = train.steps * train.batch_size + _validations(train) * config["validation_events"] / 3
        return self._dense(6.0 * per_point * events * self.per_event(run.dataset), train.precision, sparse=True)


def _validations(train: TrainConfig) -> int:
    return 2 + (train.steps // train.evaluate_every if train.evaluate_every else 10)
