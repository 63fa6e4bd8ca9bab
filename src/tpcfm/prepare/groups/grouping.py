"""Groups of one event: centres and their members, for each tokenizer method (arXiv 2502.02558, Sec. III)."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.errors import ConfigError
from tpcfm.prepare.geometry.cells import (
    CellList,
    as_coordinates,
    build_cells,
    canonical_order,
    exact,
    reach_of,
    squared_limit,
)
from tpcfm.prepare.geometry.neighbourhood import ball_cells, nearest_sorted
from tpcfm.prepare.geometry.sampling import farthest_sorted, largest_members, reduce_groups, truncate_groups
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.suppression import suppress_cells

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Groups:
    """Groups of one event; rows are rows of the points given.

    Attributes:
        centre: (T,) row of each centre, by falling centrality (C-NMS) or in order of choice (farthest points).
        offset: (T + 1,) first member of each group.
        member: rows of the members after the cap; in each group lexicographic in (x, y, z).
        size: (T,) members of each group before the cap.
        covered: (N,) groups that hold each point, before the cap.
        kept: (N,) groups that hold each point, after the cap.
        n_cut: centres cut off by ``max_tokens``.
    """

    centre: Rows
    offset: Rows
    member: Rows
    size: Rows
    covered: Rows
    kept: Rows
    n_cut: int

    @property
    def n_missed(self) -> int:
        """Points in no group, before the cap."""
        return int((self.covered == 0).sum())

    @property
    def n_capped(self) -> int:
        """Points that were in a group and are in none after the cap."""
        return int(((self.covered > 0) & (self.kept == 0)).sum())

    def duplicated(self, capped: bool) -> int:
        """Points in two or more groups, after the cap or before it."""
        return int(((self.kept if capped else self.covered) >= 2).sum())


def group(
    xyz: npt.ArrayLike, config: TokenizerConfig, signal: npt.NDArray[Any] | None = None, *, pitch: float = 1.0
) -> Groups:
    """Divide the points of one event into groups.

    The result depends on the points only, not on the order in which they are stored (rows follow the points); it is
    unchanged by a translation of lattice points.

    Args:
        xyz: (N, 3) points; integer voxels are compared exactly, floats in double precision.
        config: method and parameters.
        signal: (N,) needed where groups are reduced by it (``reduction: energy``).
        pitch: what ``config.radius`` is a multiple of, in the unit of the points.

    Raises:
        ConfigError: reduction by energy without a signal.
    """
    if config.reduction == "energy" and signal is None:
        raise ConfigError("tokenizer.reduction: energy needs the energies of the points; found none")
    points = as_coordinates(xyz)
    order = canonical_order(points)
    points = points[order]
    n = len(points)
    if n == 0:
        none = np.zeros(0, np.int32)
        return Groups(none, np.zeros(1, np.int32), none, none, none, none, 0)
    integer = bool(np.issubdtype(points.dtype, np.integer))
    radius = exact(config.radius) * exact(pitch)
    ball = squared_limit(radius, integer)
    cells, centres = _centres(points, config, radius, integer, ball)
    n_cut = 0
    if config.max_tokens and len(centres) > config.max_tokens:
        n_cut = len(centres) - config.max_tokens
        centres = centres[: config.max_tokens]
    if config.method == "fps_knn":
        found = nearest_sorted(points, centres, config.max_points)
        full_offset = offset = np.arange(len(centres) + 1, dtype=np.int32) * found.shape[1]
        full = member = np.sort(found, axis=1).ravel()
    else:
        full_offset, full = ball_cells(cells, centres, ball)
        offset, member = full_offset, full
        if config.ball_cap:
            offset, member = truncate_groups(centres, offset, member, config.ball_cap)
        if config.reduction == "energy" and signal is not None:
            offset, member = largest_members(np.asarray(signal)[order], offset, member, config.max_points)
        else:
            offset, member = reduce_groups(points, centres, offset, member, config.max_points)
    covered, kept = np.empty(n, np.int32), np.empty(n, np.int32)
    covered[order] = np.bincount(full, minlength=n)
    kept[order] = np.bincount(member, minlength=n)
    return Groups(order[centres], offset, order[member], np.diff(full_offset), covered, kept, n_cut)


def _centres(
    points: npt.NDArray[Any], config: TokenizerConfig, radius: Fraction, integer: bool, ball: int | float
) -> tuple[CellList, Rows]:
    """Return a cell list that reaches the ball radius, and the ranks of the centres."""
    reach = reach_of(ball, integer)
    if config.method in ("fps_ball", "fps_knn"):
        return build_cells(points, reach), farthest_sorted(points, math.ceil(len(points) * config.centres_per_point))
    limit = squared_limit(2 * exact(config.overlap) * radius, integer)
    if config.method == "fps_cnms":
        seeds = np.sort(farthest_sorted(points, config.seeds))
        centres = seeds[
            suppress_cells(build_cells(points[seeds], reach_of(limit, integer)), limit, config.neighbour_cap)
        ]
        return build_cells(points, reach), centres
    cells = build_cells(points, max(reach, reach_of(limit, integer)))
    return cells, suppress_cells(cells, limit, config.neighbour_cap)
