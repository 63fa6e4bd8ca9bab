"""Groups of one event with the neighbour searches on a device; C-NMS and the reduction of groups stay on the host."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.errors import ConfigError, MachineError
from tpcfm.nn.neighbour_search import ball_query, farthest_points, nearest
from tpcfm.prepare.geometry.cells import canonical_order
from tpcfm.prepare.geometry.sampling import reduce_groups
from tpcfm.prepare.groups.cache import Tokenizer
from tpcfm.prepare.groups.grouping import Groups
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.suppression import suppress
from tpcfm.prepare.groups.tokenizer import CutEvent

FIRST_GUESS = 256  # members per group of the first ball query; doubled until no group is full


def device_tokenizer(device: str) -> Tokenizer:
    """Return what `tpcfm.prepare.groups.cache.write_part` needs to make groups on a device (`tpcfm prepare groups --device`).

    Raises:
        ConfigError: not the name of a device.
        MachineError: a device that PyTorch does not find here.
    """
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"--device {device!r}: allowed: cpu, cuda, cuda:N") from error
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise MachineError(f"--device {device}: PyTorch finds {torch.cuda.device_count()} CUDA devices here; use cpu")

    def tokenize(event: CutEvent, config: TokenizerConfig, pitch: float) -> Groups:
        return group_on_device(event.xyz, config.model_copy(update={"radius": config.radius * pitch}), where)

    return tokenize


def group_on_device(xyz: npt.NDArray[Any], config: TokenizerConfig, device: str | torch.device) -> Groups:
    """Divide the lattice points of one event into groups, as `tpcfm.prepare.groups.grouping.group` does.

    Equal to it wherever the backend breaks ties as we do: always with plain torch; pytorch3d promises nothing for
    farthest point sampling and nearest neighbours at equal distances, while C-NMS with ball query has no ties.

    Raises:
        ConfigError: caps or a reduction by energy, which only the kernels of `tpcfm.prepare` know; coordinates off the lattice.
    """
    if config.neighbour_cap or config.ball_cap or config.max_tokens or config.reduction != "fps":
        raise ConfigError(
            "grouping on a device: caps (neighbour_cap, ball_cap, max_tokens) and reduction by energy are not available; use --device cpu"
        )
    if not np.issubdtype(xyz.dtype, np.integer):
        raise ConfigError(f"grouping on a device: needs lattice coordinates, found {xyz.dtype}; use --device cpu")
    order = canonical_order(xyz)
    host = np.ascontiguousarray(xyz[order])
    points = torch.from_numpy(host.astype(np.float32)).to(device)
    if config.method == "cnms":
        centres = suppress(host, config.radius, config.overlap)
    elif config.method == "fps_cnms":
        seeds = np.sort(farthest_points(points, config.seeds).cpu().numpy())
        centres = seeds[suppress(host[seeds], config.radius, config.overlap)]
    else:
        centres = farthest_points(points, math.ceil(len(host) * config.centres_per_point)).cpu().numpy()
    where = points[torch.from_numpy(centres).to(device)]
    if config.method == "fps_knn":
        found = np.sort(nearest(points, where, config.max_points).cpu().numpy(), axis=1)
    else:
        k = min(FIRST_GUESS, len(host))
        while True:
            found = ball_query(points, where, config.radius, k).cpu().numpy()
            if k == len(host) or (found[:, -1] < 0).all():
                break
            k = min(2 * k, len(host))
    held = found >= 0
    offset = np.concatenate([[0], held.sum(1).cumsum()]).astype(np.int32)
    full = found[held].astype(np.int32)
    chosen = centres.astype(np.int32)
    kept_offset, member = offset, full
    if config.method != "fps_knn":
        kept_offset, member = reduce_groups(host, chosen, offset, full, config.max_points)
    covered, kept = np.empty(len(host), np.int32), np.empty(len(host), np.int32)
    covered[order] = np.bincount(full, minlength=len(host))
    kept[order] = np.bincount(member, minlength=len(host))
    rows = order.astype(np.int32)
    return Groups(rows[chosen], kept_offset, rows[member], np.diff(offset), covered, kept, 0)
