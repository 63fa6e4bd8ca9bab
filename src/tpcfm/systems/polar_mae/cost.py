"""What runs of PoLAr-MAE ask of a machine: formulas with stated assumptions, good to a factor of a few."""

from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.plan.run import Run
from tpcfm.plan.work import GEOMETRY, Estimate, Estimator, Held, Work, validations
from tpcfm.systems.polar_mae.settings import MaskedPretraining, ProbeConfig, SegmentationConfig

TOKENS_PER_EVENT = 400.0  # arXiv 2502.02558, Sec. 3
PROBE_SECONDS_PER_EVENT = 0.02  # support-vector machines, on the CPU


def _transformer(model: PolarMaeModel, tokens: float, mask_ratio: float, decoder: bool) -> float:
    """Return the training operations per event: PointNet on every point of a token, encoder on what is seen, decoder on all."""
    width, hidden = model.width, model.pointnet_hidden
    pointnet = 32 * (4 * hidden + 2 * hidden**2 + 16 * hidden**2 + 4 * hidden * width)
    block = (4 + 2 * model.mlp_ratio) * width**2
    seen = tokens * (1 - mask_ratio)
    encoder = model.depth * seen * (block + 2 * seen * width)
    rest = model.decoder_depth * tokens * (block + 2 * tokens * width) if decoder else 0.0
    return 6.0 * (tokens * pointnet + encoder + rest)


def _masked(run: Run, held: Held) -> Estimate:
    block = run.block(MaskedPretraining)
    train = block.train
    flops = _transformer(block.model, TOKENS_PER_EVENT, block.mask_ratio, decoder=True)
    events = train.steps * train.batch_size + validations(train) * held.events["validation"] / 3
    return Estimate((Work(flops * events, "dense", train.precision),))


def _segmentation(run: Run, held: Held) -> Estimate:
    block = run.block(SegmentationConfig)
    train = block.train
    flops = _transformer(block.model, TOKENS_PER_EVENT, 0.0, decoder=False)
    # The head sees every point; a frozen encoder only runs forward.
    flops += 6.0 * 1.0e6 * (block.model.width / 384) ** 2 * held.per_event
    if head := block.edge_head:  # the frozen encoder runs once per event
        events = block.n_labels + held.events["validation"] + held.events["test"]
        seen = (train.steps * train.batch_size + validations(train) * held.events["validation"] / 3) * held.per_event
        work = 3 * head.flops(not block.classes) * seen + flops / 3 * events
        return Estimate((Work(work, "sparse", train.precision, seconds=GEOMETRY * events * held.per_event),))
    share = 1 / 3 if block.mode == "peft" else 1.0
    checked = validations(train) * min(held.events["validation"], 1000.0) / 3
    return Estimate((Work(flops * (share * train.steps * train.batch_size + checked), "dense", train.precision),))


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
