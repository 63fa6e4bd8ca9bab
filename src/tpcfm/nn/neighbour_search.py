"""Ball query, nearest neighbours and farthest point sampling on a device: plain torch, or ``pytorch3d`` on CUDA after it agrees.

Distances of lattice points below 2,048 are exact in float32, so on PILArNet voxels the results are those of `tpcfm.prepare`.
"""

import importlib
from functools import lru_cache

import torch
from torch import Tensor

from tpcfm import backends
from tpcfm.errors import MachineError

_ROWS = 4_000_000  # distances at a time in the plain version


def ball_query(points: Tensor, centres: Tensor, radius: float, k: int, *, backend: str | None = None) -> Tensor:
    """Return ``(T, k)`` int64: the first ``k`` points (in storage order) strictly closer than ``radius``, then -1.

    Args:
        points: ``(N, 3)`` float32.
        centres: ``(T, 3)`` float32.
    """
    if (backend or neighbour_backend(points.device.type)) == "pytorch3d":
        return _ops().ball_query(centres[None], points[None], K=k, radius=radius, return_nn=False).idx[0]  # type: ignore[no-any-return]
    found = torch.full((len(centres), k), -1, dtype=torch.long, device=points.device)
    for start, squared in _squared(points, centres):
        near = squared < radius * radius
        place = near.cumsum(1) - 1
        row, point = (near & (place < k)).nonzero(as_tuple=True)
        found[start + row, place[row, point]] = point
    return found


def nearest(points: Tensor, centres: Tensor, k: int, *, backend: str | None = None) -> Tensor:
    """Return ``(T, min(k, N))`` int64: the nearest points of each centre, nearest first."""
    k = min(k, len(points))
    if (backend or neighbour_backend(points.device.type)) == "pytorch3d":
        return _ops().knn_points(centres[None], points[None], K=k).idx[0]  # type: ignore[no-any-return]
    parts = [squared.sort(dim=1, stable=True).indices[:, :k] for _, squared in _squared(points, centres)]
    return torch.cat(parts) if parts else torch.empty(0, k, dtype=torch.long, device=points.device)


def farthest_points(points: Tensor, count: int, *, backend: str | None = None) -> Tensor:
    """Return ``(min(count, N),)`` int64: farthest points in order of choice, from the first point on."""
    count = min(count, len(points))
    if (backend or neighbour_backend(points.device.type)) == "pytorch3d":
        return _ops().sample_farthest_points(points[None], K=count, random_start_point=False)[1][0]  # type: ignore[no-any-return]
    chosen = torch.zeros(count, dtype=torch.long, device=points.device)
    squared = torch.full((len(points),), torch.inf, device=points.device)
    for i in range(1, count):
        squared = torch.minimum(squared, ((points - points[chosen[i - 1]]) ** 2).sum(1))
        chosen[i] = squared.argmax()
    return chosen


def neighbour_backend(device: str) -> str:
    """Return the backend on a device type, "torch" or "pytorch3d", after it has been compared with the plain version.

    Raises:
        MachineError: it finds other points.
    """
    name = backends.choose("neighbour_search", device)
    if name == "pytorch3d":
        _verify(device)
    return name


def _squared(points: Tensor, centres: Tensor):  # type: ignore[no-untyped-def]
    """Yield first row and squared distances ``(rows, N)`` of a few centres at a time; differences, so that integers stay exact."""
    step = max(1, _ROWS // max(len(points), 1))
    for start in range(0, len(centres), step):
        yield start, ((centres[start : start + step, None] - points[None]) ** 2).sum(2)


@lru_cache
def _verify(device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(400, 3, generator=generator).to(device)  # no two distances are equal
    centres = points[::7] + 0.01
    pairs = {
        "ball query": [ball_query(points, centres, 0.2, 6, backend=b) for b in ("torch", "pytorch3d")],
        "nearest neighbours": [nearest(points, centres, 9, backend=b) for b in ("torch", "pytorch3d")],
        "farthest point sampling": [farthest_points(points, 60, backend=b) for b in ("torch", "pytorch3d")],
    }
    for what, (ours, theirs) in pairs.items():
        if ours.shape != theirs.shape or not bool((ours == theirs).all()):
            raise MachineError(
                f"backend 'pytorch3d' on {device} does not reproduce the {what}; forbid it with --backend -pytorch3d, and report it"
            )


def _ops():  # type: ignore[no-untyped-def]
    return importlib.import_module("pytorch3d.ops")
