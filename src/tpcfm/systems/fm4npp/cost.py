"""What runs of FM4NPP ask of a machine: formulas with stated assumptions, good to a factor of a few."""

from tpcfm.files import read_json
from tpcfm.models.fm4npp import parameters as count
from tpcfm.models.fm4npp.flops import matrix_products, scan, training_flops
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.models.fm4npp.traffic import kept, moved_forward, moved_training
from tpcfm.plan.run import Run
from tpcfm.plan.work import GEOMETRY, OPTIMISER_BYTES, Estimate, Estimator, Held, Memory, Rung, Work, validations
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.study_settings import CoordinateCheck

FEATURE_BYTES = 2  # the features of a frozen backbone are kept in half precision
ADAPTER_BYTES = 1000.0  # moved per point, adapter channel and block in training
MIX_BYTES = 40.0  # moved per point, layer and channel of the backbone by the mix of its layers
KEPT_BYTES = 100.0  # wait for the backward pass per point, adapter channel and block
NEIGHBOURS_PER_SECOND = 300_000.0  # points whose neighbours one core finds (k = 30), rounded down from 500,000
PUBLISHED_HOURS = (
    "published (arXiv 2508.14087, Table 1, full budgets), GPU-h: m1 10, m2 12, m3 80, m4 256, m5 1200, m6 4608"
)
"""Number of GPUs (A100 or H100, 80 GB) times hours."""


def _trained(model: Fm4nppModel, points: float, slots: int, precision: str) -> Work:
    flops = training_flops(model, points, slots)
    return Work(flops, "products", precision, moved=points * moved_training(model, precision))


def _passed(model: Fm4nppModel, points: float, precision: str, slots: int = 30) -> Work:
    """Points through the backbone without training it."""
    flops = points * (matrix_products(model, slots) + scan(model))
    return Work(flops, "products", precision, moved=points * moved_forward(model, precision))


def _pretraining(run: Run, held: Held) -> Estimate:
    block = run.block(NeighbourPretraining)
    model, train = block.model, block.train
    slots = block.targets.k if block.targets.objective == "next_neighbours" else 1
    points = train.steps * train.batch_size * held.per_event
    seen = validations(train) * block.validation_events * held.per_event
    trained = _trained(model, points, slots, train.precision)
    parameters = count.backbone(model, slots)
    plain, least = (kept(model, train.precision, checkpointing) for checkpointing in (False, True))
    choice = train.activation_checkpointing
    memory = Memory(
        OPTIMISER_BYTES * parameters, least if choice is True else plain, least if choice == "auto" else None
    )
    found = 0.0 if held.stored or slots == 1 else (points + seen) / (NEIGHBOURS_PER_SECOND * max(train.workers, 1))
    return Estimate(
        (trained, _passed(model, seen, train.precision, slots)),
        count.backbone(model, slots, frozen=True),
        rung=Rung(parameters, points, trained.flops),
        memory=memory,
        loader=found,
    )


def _coordinates(run: Run, held: Held) -> Estimate:
    block = run.block(CoordinateCheck)
    points = block.events * held.per_event * len(block.seeds)
    work: list[Work] = []
    for width in block.widths:
        model = block.model.model_copy(update={"width": width})
        work.append(_trained(model, block.steps * points, 30, "float32"))
        # Activations and predictions are looked at before and after every step.
        work.append(_passed(model, 2 * (block.steps + 1) * points, "float32"))
    return Estimate(tuple(work), parameters=0)


def _settings(run: Run, held: Held) -> AdapterConfig:
    """Return the settings of an adapter, with the backbone that imported weights have once they are there."""
    block = run.block(AdapterConfig)
    imported = held.workspace.run(str(run.pretrained)) / "config.json"
    if block.start != "imported" or not imported.is_file():
        return block
    return block.model_copy(update={"model": Fm4nppModel.model_validate(read_json(imported)["model"])})


def _adapter(run: Run, held: Held) -> Estimate:
    block = _settings(run, held)
    train, layers = block.train, block.layers
    seen = train.steps * train.batch_size * held.per_event
    checked = validations(train) * block.validation_events * held.per_event
    tested = held.events["test"] * held.per_event
    if block.instances:  # queries do not grow with the points
        attention = 6.0 * block.queries * block.width * (block.decoder_layers + 1)
        per_point = 2.0 * (count.adapter_input(block, layers) + 4 * block.width**2) + attention
        blocks = 1 + block.decoder_layers
    else:
        attention = 4.0 * held.per_event * block.width * block.attention_layers
        per_point = 2.0 * count.adapter(block, layers) + attention
        blocks = 1 + block.attention_layers
    moved = ADAPTER_BYTES * block.width * blocks + MIX_BYTES * layers * block.model.width
    labels = held.events["train"] if block.n_labels == "all" else block.n_labels
    made = 0.0  # seconds of a core for local geometry
    if block.edge_head:
        per_point, moved = block.edge_head.flops(block.instances), block.edge_head.moved
        made = GEOMETRY * ((labels + block.validation_events) * held.per_event + tested)
        if block.instances and (second := block.edge_head.join):
            made += second.seconds(labels, block.edge_head.tuning_events, held.events["test"], held.per_event)
    features = FEATURE_BYTES * layers * block.model.width
    backbone = block.start != "none"
    frozen = backbone and block.mode == "frozen"
    head = Work(
        per_point * (3 * seen + checked + tested),
        "dense",
        train.precision,
        moved * (seen + checked / 3),
        loaded=features * (seen + checked) if frozen else 0.0,
        seconds=made,
    )
    trained = count.adapter(block, layers)
    waiting = KEPT_BYTES * block.width * blocks
    if (
        backbone and not frozen
    ):  # the backbone runs and is trained (in part) with the head; low rank and last blocks as all of it
        weights = OPTIMISER_BYTES * (trained + count.backbone(block.model))
        memory = Memory(weights, waiting + kept(block.model, train.precision))
        ours = _trained(block.model, seen, 1, train.precision)
        return Estimate((head, ours, _passed(block.model, checked + tested, train.precision)), memory=memory)
    if not frozen:
        return Estimate((head,), memory=Memory(OPTIMISER_BYTES * trained, waiting))
    points = (labels + block.validation_events) * held.per_event
    # Features beyond the scratch of a job are computed anew whenever they are read.
    scratch = min(features * points, held.scratch)
    share = scratch / (features * points)
    anew = _passed(block.model, share * points + tested + (1 - share) * (seen + checked), "float32")
    # Half precision, their float32 copy in the mix of the layers, and the pass of the backbone that makes them.
    memory = Memory(OPTIMISER_BYTES * trained + 4 * count.backbone(block.model, frozen=True), 5 * features + waiting)
    return Estimate((head, anew), scratch=scratch, memory=memory)


ESTIMATES: dict[str, Estimator] = {
    "fm4npp.pretrain": _pretraining,
    "fm4npp.find_tracks": _adapter,
    "fm4npp.classify_points": _adapter,
    "fm4npp.coordinate_check": _coordinates,
}
"""By recipe."""
