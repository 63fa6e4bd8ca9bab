"""Plain NumPy twins of the tokenizer kernels, all pairs, and small events to compare on. Not a test file."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest


def squared(points):
    """All squared distances: exact integers for lattice points."""
    points = points.astype(np.int64) if np.issubdtype(points.dtype, np.integer) else points
    return ((points[:, None] - points[None]) ** 2).sum(-1)


def lexicographic(points):
    return np.lexsort((points[:, 2], points[:, 1], points[:, 0]))


def closer(points, distance):
    """Matrix of d < distance, the limit squared exactly."""
    limit = distance * distance
    if np.issubdtype(points.dtype, np.integer):
        return squared(points) * limit.denominator < limit.numerator
    return squared(points) < float(limit)


def cnms(points, radius, overlap):
    """Rows of the C-NMS centres."""
    near = closer(points, 2 * Fraction(repr(float(overlap))) * Fraction(repr(float(radius))))
    rank = np.argsort(lexicographic(points))
    alive = np.ones(len(points), bool)
    centres = []
    for i in sorted(range(len(points)), key=lambda i: (-near[i].sum(), rank[i])):
        if alive[i]:
            centres.append(i)
            alive[near[i]] = False
    return np.array(centres, int)


def balls(points, centres, radius):
    """Member rows of each centre, lexicographic."""
    near = closer(points, Fraction(repr(float(radius))))
    order = lexicographic(points)
    return [order[near[c][order]] for c in centres]


def fps(points, count, start):
    """Farthest points among points in the order given; ties to the first."""
    d = squared(points)
    chosen = [start]
    best = d[start].copy()
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(best)))
        best = np.minimum(best, d[chosen[-1]])
    return np.array(chosen)


def reduced(points, centre, members, cap):
    """Members kept by farthest point sampling from the centre, in the order of the input."""
    if len(members) <= cap:
        return members
    kept = fps(points[members], cap, int(np.flatnonzero(members == centre)[0]))
    return members[np.sort(kept)]


def lattice_event(n, seed, extent=60):
    """Distinct lattice points: random walks (tracks) and a dense blob (shower)."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.integers(-1, 3, (4, n, 3)), axis=1).reshape(-1, 3) % extent
    blob = np.rint(rng.normal(extent / 2, 3, (n, 3))).astype(int)
    points = np.unique(np.concatenate([walks, blob]), axis=0)
    return rng.permutation(points)[:n].astype(np.int32)


def real_event():
    """The real PILArNet-M event: raw columns in the layout of an event table."""
    folder = os.environ.get("TPCFM_TEST_DATA")
    path = Path(folder or "") / "pilarnet_m/test/generic_v2_1_v2.h5"
    if not folder or not path.is_file():
        pytest.skip(f"the real event is not here: set TPCFM_TEST_DATA (looked for {path})")
    import h5py

    with h5py.File(path) as file:
        point = file["point"][0].reshape(-1, 8)
        cluster = file["cluster"][0].reshape(-1, 6)
    voxel = dict(zip("xyz", point[:, :3].T.astype(np.int16)))
    return {**voxel, "energy": point[:, 3], "semantic": np.repeat(cluster[:, 4], cluster[:, 0]).astype(np.int8)}
