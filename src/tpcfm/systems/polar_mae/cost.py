"""What runs of PoLAr-MAE ask of a machine: formulas with stated assumptions, good to a factor of a few."""

from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.plan.run import Run
from tpcfm.plan.work import GEOMETRY, OPTIMISER_BYTES, Estimate, Estimator, Held, Memory, Work, validations
from tpcfm.systems.polar_mae.settings import MaskedPretraining, ProbeConfig, SegmentationConfig

TOKENS_PER_EVENT = 400.0  # arXiv 2502.02558, Sec. 3
PROBE_SECONDS_PER_EVENT = 0.02  # support-vector machines, on the CPU
BLOCK_BYTES = 34.0  # per token, channel and transformer block waiting for the backward pass in half precision (arXiv 2205.05198, Sec. 4.1)
PARAMETERS_OF_A_BLOCK = 12  # times width squared


def _transformer(model: PolarMaeModel, tokens: float, mask_ratio: float, decoder: bool) -> float:
    """Return the training operations per event: PointNet on every point of a token, encoder on what is seen, decoder on all."""
    width, hidden = model.width, model.pointnet_hidden
    pointnet = 32 * (4 * hidden + 2 * hidden**2 + 16 * hidden**2 + 4 * hidden * width)
    block = (4 + 2 * model.mlp_ratio) * width**2
    seen = tokens * (1 - mask_ratio)
    encoder = model.depth * seen * (block + 2 * seen * width)
    rest = model.decoder_depth * tokens * (block + 2 * tokens * width) if decoder else 0.0
    return 6.0 * (tokens * pointnet + encoder + rest)


def _memory(
    model: PolarMaeModel, per_event: float, mask_ratio: float, precision: str, decoder: int, trained: bool
) -> Memory:
    """Return the memory per point: the PointNet of every token in float32, the blocks of the tokens that are encoded and decoded."""
    pointnet = 32 * 4.0 * (16 * model.pointnet_hidden + model.width)
    block = BLOCK_BYTES * model.width * (1 if precision == "bfloat16" else 2)
    blocks = model.depth * (1 - mask_ratio) + decoder if trained else 1.0
    weights = OPTIMISER_BYTES * PARAMETERS_OF_A_BLOCK * model.width**2 * (model.depth + decoder)
    return Memory(weights, TOKENS_PER_EVENT / per_event * ((pointnet if trained else pointnet / 4) + blocks * block))


def _masked(run: Run, held: Held) -> Estimate:
    block = run.block(MaskedPretraining)
    train = block.train
    flops = _transformer(block.model, TOKENS_PER_EVENT, block.mask_ratio, decoder=True)
    events = train.steps * train.batch_size + validations(train) * held.events["validation"] / 3
    memory = _memory(block.model, held.per_event, block.mask_ratio, train.precision, block.model.decoder_depth, True)
    return Estimate((Work(flops * events, "dense", train.precision),), memory=memory)


def _segmentation(run: Run, held: Held) -> Estimate:
    block = run.block(SegmentationConfig)
    train = block.train
    flops = _transformer(block.model, TOKENS_PER_EVENT, 0.0, decoder=False)
    # The head sees every point; a frozen encoder only runs forward.
    flops += 6.0 * 1.0e6 * (block.model.width / 384) ** 2 * held.per_event
    if head := block.edge_head:  # the frozen encoder runs once per event
        labels = held.events["train"] if block.n_labels == "all" else block.n_labels
        events = labels + held.events["validation"] + held.events["test"]
        seen = (train.steps * train.batch_size + validations(train) * held.events["validation"] / 3) * held.per_event
        operations = 3 * head.flops(not block.classes) * seen + flops / 3 * events
        seconds = GEOMETRY * events * held.per_event
        if not block.classes and (second := head.join):
            seconds += second.seconds(labels, head.tuning_events, held.events["test"], held.per_event)
        return Estimate((Work(operations, "sparse", train.precision, seconds=seconds),))
    share = 1 / 3 if block.mode == "peft" else 1.0
    checked = validations(train) * min(held.events["validation"], 1000.0) / 3
    memory = _memory(block.model, held.per_event, 0.0, train.precision, 0, block.mode != "peft")
    work = Work(flops * (share * train.steps * train.batch_size + checked), "dense", train.precision)
    return Estimate((work,), memory=memory)


def _probe(run: Run, held: Held) -> Estimate:
    block = run.block(ProbeConfig)
    return Estimate(
        (Work(seconds=PROBE_SECONDS_PER_EVENT * (block.train_events + block.test_events) * len(block.seeds)),)
    )


ESTIMATES: dict[str, Estimator] = {
    "polar_mae.pretrain": _masked,
    "polar_mae.segment": _segmentation,
    "polar_mae.probe": _probe,
}
"""By recipe."""
