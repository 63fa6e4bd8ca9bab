"""What the classical methods ask of a machine: seconds of a core, measured on two detectors, good to a factor of a few."""

from math import prod

from tpcfm.plan.run import Run
from tpcfm.plan.work import GEOMETRY, Estimate, Estimator, Held, Work, validations
from tpcfm.systems.classical.settings import FinderConfig, TreesConfig

TREES = 2e-7  # seconds per point, class and boosting round
PAIRS = 1e-5  # seconds per point: its pairs through the perceptron and back
DBSCAN = 5e-6  # seconds per point and choice


def _trees(run: Run, held: Held) -> Estimate:
    block = run.block(TreesConfig)
    seen = (block.n_labels + block.validation_events + held.events["test"]) * held.per_event
    grown = min(block.points, block.n_labels * held.per_event)
    growing = TREES * grown * block.classes * block.train.steps * len(block.weight_powers)
    return Estimate((Work(seconds=GEOMETRY * seen + growing),))


def _finder(run: Run, held: Held) -> Estimate:
    block, train = run.block(FinderConfig), run.block(FinderConfig).train
    test = held.events["test"] * held.per_event
    if block.dbscan:
        tried = prod(map(len, block.dbscan.model_dump().values()))
        return Estimate((Work(seconds=DBSCAN * (test + tried * block.tuning_events * held.per_event)),))
    second = block.edges.join if block.edges else None
    joined = 0.0
    if second:
        joined = second.seconds(block.n_labels, block.tuning_events, held.events["test"], held.per_event)
    made = test + (block.n_labels + block.validation_events) * held.per_event
    passed = train.steps * train.batch_size + validations(train) * block.validation_events / 3
    return Estimate((Work(seconds=GEOMETRY * made + PAIRS * passed * held.per_event + joined),))


ESTIMATES: dict[str, Estimator] = {"classical.classify_points": _trees, "classical.find_instances": _finder}
"""By recipe."""
