"""Packed batches of a groups cache with all that the PoLAr-MAE networks need, made in the loader threads.

All random draws (mask, rotation, stochastic depth) are keyed by seed, epoch and event, so neither the rank nor the
other events of the batch change them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from tpcfm.losses.objective import StepInfo
from tpcfm.nn.drop_path import drop_path_factors
from tpcfm.prepare.groups.batches import Batch, collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.train.keyed import keyed_generator

NEIGHBOURS = 5  # token centres a point is interpolated from (arXiv 2502.02558, Sec. 4)


@dataclass(frozen=True)
class GroupBatches:
    """Collate function for tokens.

    Attributes:
        mask_ratio: share of tokens masked, or None for no masking.
        masking: `random`, or `block` (the tokens nearest to a random one).
        rotate: one uniform SO(3) rotation per event and epoch, in training.
        drop_path: stochastic-depth rate of the last block, in training; 0 for none.
        depth, decoder_depth: blocks that stochastic depth acts on.
        points: add what the per-point head needs.
        diffusion: add noise and its level per event, for masked groups that enter the decoder noised.
    """

    mask_ratio: float | None = None
    masking: str = "random"
    rotate: bool = True
    drop_path: float = 0.0
    depth: int = 0
    decoder_depth: int = 0
    points: bool = False
    diffusion: bool = False

    def __call__(self, store: PreparedStore, rows: npt.NDArray[np.int64], info: StepInfo) -> Batch:
        """Return the batch of `collate_groups` without ``member``, plus

        ``token_centre`` (T, 3), ``token_points`` (T, K, 4), ``token_valid`` (T, K) (see `models.tokens`); ``token_scale`` (T,);
        ``masked`` (T,) bool; ``encoder_factors`` and ``decoder_factors`` (depth, 2, B); with ``diffusion`` also
        ``diffusion_noise`` (T, K, 4) and ``noise_level`` (T,); with ``points`` also ``point_xyz`` (N, 3) scaled, ``point_event`` (N,),
        ``nearest`` and ``nearest_weight`` (N, 5).
        """
        batch, detector = collate_groups(store, rows), store.detector
        keys, token_offsets = batch["event_key"], batch["token_offsets"]

        def draws(purpose: str) -> list[np.random.Generator]:
            return [keyed_generator(info.seed, info.epoch, int(key), purpose) for key in keys]

        member = batch.pop("member")
        valid = member >= 0
        relative = batch["xyz"][member] - batch["centre"][:, None, :]
        batch["token_scale"] = group_scale(relative, valid, store)
        relative = relative / batch["token_scale"][:, None, None]
        centre = detector.scale_coordinates(batch["centre"]).astype(np.float32)
        if self.points:
            # Distances do not change under rotation, so the neighbours are found before it.
            scale = detector.half_diagonal
            batch |= nearest_tokens(batch["xyz"], batch["offsets"], batch["centre"], token_offsets, scale)
            batch["point_xyz"] = detector.scale_coordinates(batch["xyz"]).astype(np.float32)
            batch["point_event"] = np.repeat(np.arange(len(keys)), np.diff(batch["offsets"]))
        if self.rotate and info.training:
            rotations = np.stack([uniform_rotation(g) for g in draws("rotation")]).astype(np.float32)
            per_token = np.repeat(rotations, np.diff(token_offsets), axis=0)
            relative = relative @ per_token.transpose(0, 2, 1)
            centre = np.einsum("tij,tj->ti", per_token, centre)
            if self.points:
                per_point = rotations[batch["point_event"]]
                batch["point_xyz"] = np.einsum("nij,nj->ni", per_point, batch["point_xyz"])
        signal = detector.scale_signal(batch["signal"]).astype(np.float32)
        points = np.concatenate([relative, signal[member][..., None]], axis=2).astype(np.float32)
        points[~valid] = 0
        batch |= {"token_centre": centre, "token_points": points, "token_valid": valid}
        if self.mask_ratio is not None:
            masks = [
                draw_mask(g, batch["centre"][a:b], self.mask_ratio, self.masking)
                for g, a, b in zip(draws("mask"), token_offsets[:-1], token_offsets[1:])
            ]
            batch["masked"] = np.concatenate(masks)
        if self.diffusion:
            sizes = np.diff(token_offsets)
            generators = draws("diffusion")
            levels = np.array([g.random() for g in generators], np.float32)
            drawn = [g.standard_normal((n, *points.shape[1:]), np.float32) for g, n in zip(generators, sizes)]
            batch |= {"diffusion_noise": np.concatenate(drawn), "noise_level": np.repeat(levels, sizes)}
        if info.training:
            for part, depth in (("encoder", self.depth), ("decoder", self.decoder_depth)):
                factors = drop_path_factors(draws(f"drop path {part}"), depth, self.drop_path) if depth else None
                if factors is not None:
                    batch[f"{part}_factors"] = factors
        return batch


def group_scale(
    relative: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], store: PreparedStore
) -> npt.NDArray[np.float32]:
    """Return (T,) the length that positions within each group are divided by, in the detector's unit.

    The ball radius; for nearest neighbours, which no ball holds, the distance of the group's outermost member (the paper
    does not say), so that all lie in the unit ball either way.

    Args:
        relative: (T, K, 3) members minus centre.
        valid: (T, K) slots that hold one.
        store: groups cache.
    """
    radius = np.float32(store.settings["radius"] * store.detector.pitch)
    if store.settings["method"] != "fps_knn":
        return np.full(len(relative), radius)
    furthest = (np.linalg.norm(relative, axis=2) * valid).max(1, initial=0).astype(np.float32)
    return np.where(furthest > 0, furthest, radius)


def draw_mask(
    generator: np.random.Generator, centre: npt.NDArray[np.float32], ratio: float, masking: str
) -> npt.NDArray[np.bool_]:
    """Choose floor(ratio · n) of n tokens, uniformly (`random`) or as the nearest to a random one (`block`).

    Args:
        centre: ``(n, 3)`` token centres.

    Returns:
        ``(n,)`` bool, true where masked.
    """
    count = math.floor(ratio * len(centre) + 1e-9)  # 0.29 · 100 is 28.999… in binary
    if masking == "block":
        seed = centre[generator.integers(len(centre))]
        order = np.argsort(((centre - seed) ** 2).sum(1), kind="stable")
    else:
        order = generator.permutation(len(centre))
    masked = np.zeros(len(centre), bool)
    masked[order[:count]] = True
    return masked


def uniform_rotation(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a rotation matrix uniform on SO(3), from a uniform unit quaternion (Shoemake 1992)."""
    q = generator.standard_normal(4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def nearest_tokens(
    xyz: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64],
    centre: npt.NDArray[np.float32],
    token_offsets: npt.NDArray[np.int64],
    scale: float,
) -> dict[str, npt.NDArray[Any]]:
    """Find the nearest token centres of every point, and weights proportional to 1 / (d² + machine epsilon).

    d is in scaled coordinates, that is over ``scale``. An event with fewer than five tokens repeats its last one with weight 0.

    Returns:
        ``nearest`` (N, 5) int64 rows of tokens in the batch, ``nearest_weight`` (N, 5) float32 summing to 1.
    """
    nearest = np.empty((len(xyz), NEIGHBOURS), np.int64)
    weight = np.zeros((len(xyz), NEIGHBOURS), np.float32)
    for a, b, t, u in zip(offsets[:-1], offsets[1:], token_offsets[:-1], token_offsets[1:]):
        k = min(NEIGHBOURS, int(u - t))
        distance, index = cKDTree(centre[t:u]).query(xyz[a:b], k=list(range(1, k + 1)))
        scaled = (distance / scale) ** 2
        share = 1 / (scaled + np.finfo(np.float32).eps)
        nearest[a:b, :k] = index + t
        nearest[a:b, k:] = index[:, -1:] + t
        weight[a:b, :k] = share / share.sum(1, keepdims=True)
    return {"nearest": nearest, "nearest_weight": weight}
