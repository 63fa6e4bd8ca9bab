"""Generic geometry against the libraries that one would install instead, on one core: pykdtree, scipy, faiss, fpsample.

Needs the extra ``bench``; a library that is not installed is left out. A ratio above 1 means that ours is faster. Ours give the same
neighbours on every machine, ties by row; the others leave ties open.
"""

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph
from tpcfm.prepare.geometry.sampling import farthest_points

SIZES = (1_000, 5_000, 50_000)
WIDE = 10_000
K = 32


def tracks(n: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Points along straight tracks of about 200 points in a cube of 768 voxels."""
    rng = np.random.default_rng(seed)
    count = max(n // 200, 1)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    which = rng.integers(0, count, n)
    along = direction[which] * rng.uniform(0, 300, n)[:, None]
    return rng.uniform(0, 700, (count, 3))[which] + along + rng.normal(0, 0.3, (n, 3))


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the least processor time of a call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def peer(name: str) -> Any:
    """Return a library, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def neighbours(points: npt.NDArray[np.float64]) -> dict[str, Callable[[], object]]:
    """Nearest neighbours by each library; the point itself is one of theirs."""
    single = points.astype(np.float32)
    found: dict[str, Callable[[], object]] = {"scipy": lambda: cKDTree(points).query(points, k=K + 1)}
    if (library := peer("pykdtree.kdtree")) is not None:
        found["pykdtree"] = lambda: library.KDTree(single).query(single, k=K + 1)
    return found


def flat(points: npt.NDArray[np.float32], k: int) -> dict[str, Callable[[], object]]:
    """All pairs by faiss."""
    library = peer("faiss")
    if library is None:
        return {}
    library.omp_set_num_threads(1)

    def search() -> object:
        index = library.IndexFlatL2(points.shape[1])
        index.add(points)
        return index.search(points, k + 1)

    return {"faiss flat": search}


def sampling(points: npt.NDArray[np.float64], count: int) -> dict[str, Callable[[], object]]:
    """Farthest points by fpsample."""
    library = peer("fpsample")
    single = points.astype(np.float32)
    if library is None:
        return {}
    return {"fpsample": lambda: library.bucket_fps_kdline_sampling(single, count, h=5, start_idx=0)}


def rows() -> list[dict[str, Any]]:
    """Return one row per comparison: ``what size against ratio``."""
    with threadpool_limits(1):
        return _rows()


def _rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def compare(what: str, n: int, ours: Callable[[], object], theirs: dict[str, Callable[[], object]]) -> None:
        mine = seconds(ours)
        for name, call in theirs.items():
            found.append({"what": what, "size": f"{n} points", "against": name, "ratio": seconds(call) / mine})

    for n in SIZES:
        for kind, points in (("uniform", np.random.default_rng(0).uniform(0, 768, (n, 3))), ("tracks", tracks(n))):
            compare(f"{K} neighbours, {kind}", n, lambda p=points: neighbour_graph(p, K), neighbours(points))
        lattice = np.unique(np.round(tracks(n)).astype(np.int32), axis=0)
        count = len(lattice) // 10
        compare(
            "farthest points, a tenth", n, lambda p=lattice, c=count: farthest_points(p, c), sampling(lattice, count)
        )
    rng = np.random.default_rng(0)
    clouds = {
        "shapeless": rng.normal(size=(WIDE, 24)),
        "tracks": rng.normal(size=(WIDE // 30, 24))[rng.integers(0, WIDE // 30, WIDE)]
        + 0.1 * rng.normal(size=(WIDE, 24)),
    }
    for kind, cloud in clouds.items():
        single = cloud.astype(np.float32)
        compare(
            f"12 neighbours in 24 dimensions, {kind}", WIDE, lambda p=single: neighbour_graph(p, 12), flat(single, 12)
        )
    return found


if __name__ == "__main__":
    for row in rows():
        print("{what:42s} {size:>14s} {ratio:7.2f}x  against {against}".format(**row))
