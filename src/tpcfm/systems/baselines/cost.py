"""What the baselines ask of a machine: formulas with stated assumptions, good to a factor of a few."""

from math import prod

from tpcfm.plan.run import Run
from tpcfm.plan.work import Estimate, Estimator, Held, Work, validations
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.polar_mae.settings import SparseUNetConfig

KALMAN_SECONDS_PER_EVENT = 0.12
# Trained parameters at the paper's size (arXiv 2508.14087, Table 2), the width they belong to, and how
# often each point passes through them: edges per point, or iterations. (Most weights of the voxel network sit at coarse levels with few
# voxels, and few of the 27 offsets of a kernel are filled: the share is that of the demo.)
NETWORKS: dict[str, tuple[float, int, float]] = {
    "sage": (0.91e6, 256, 1),
    "graph_conv": (0.91e6, 256, 1),
    "gcn": (0.91e6, 256, 1),
    "gat": (0.91e6, 256, 2),
    "voxel_unet": (45e6, 64, 0.05),
    "eggnet": (0.16e6, 64, 40),
    "exatrkx": (3.86e6, 128, 3),
    "hept": (0.31e6, 24, 3),
}


def _sparse_unet(run: Run, held: Held) -> Estimate:
    block = run.block(SparseUNetConfig)
    train = block.train
    # A kernel of 27 offsets, of which a track fills about 9; levels halve the voxels and widen the channels.
    per_point = sum(2 * 4 * 9 * ((i + 1) * block.filters) ** 2 / 2**i for i in range(block.depth))
    events = train.steps * train.batch_size + validations(train) * held.events["validation"] / 3
    return Estimate((Work(6.0 * per_point / 2 * events * held.per_event, "sparse", train.precision),))


def _points(run: Run, held: Held) -> Estimate:
    block = run.block(PointBaselineConfig)
    width = block.voxel.filters if block.voxel else block.graph.width if block.graph else 0
    return _network(block, width, held)


def _tracks(run: Run, held: Held) -> Estimate:
    block = run.block(TrackBaselineConfig)
    if block.kalman:
        tried = prod(len(grid) for grid in block.kalman.model_dump().values())
        return Estimate((Work(seconds=KALMAN_SECONDS_PER_EVENT * (block.tuning_events * tried + held.events["test"])),))
    return _network(block, getattr(block, block.model).width, held)


def _network(block: PointBaselineConfig | TrackBaselineConfig, width: int, held: Held) -> Estimate:
    train = block.train
    parameters, full_width, passes = NETWORKS[block.model]
    per_point = parameters * (width / full_width) ** 2 * passes
    events = train.steps * train.batch_size + validations(train) * block.validation_events / 3
    return Estimate((Work(6.0 * per_point * events * held.per_event, "sparse", train.precision),))


ESTIMATES: dict[str, Estimator] = {
    "baselines.sparse_unet": _sparse_unet,
    "baselines.classify_points": _points,
    "baselines.find_tracks": _tracks,
}
"""By recipe."""
