"""From embeddings or scored edges to track labels; points in no cluster get -1."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def dbscan(embedding: npt.NDArray[np.floating], eps: float, min_samples: int) -> Labels:
    """Return the DBSCAN clusters (Ester et al. 1996) of the points of one event, (N, D) to (N,)."""
    from sklearn.cluster import DBSCAN

    return DBSCAN(eps=eps, min_samples=min_samples).fit(embedding).labels_.astype(np.int64)


def hdbscan(embedding: npt.NDArray[np.floating], min_cluster: int, min_samples: int) -> Labels:
    """Return the HDBSCAN clusters (Campello et al. 2013, excess of mass) of the points of one event, (N, D) to (N,).

    With fewer points than either number asks for, there is no cluster.
    """
    from sklearn.cluster import HDBSCAN

    if len(embedding) < max(min_cluster, min_samples):
        return np.full(len(embedding), -1)
    found = HDBSCAN(min_cluster_size=min_cluster, min_samples=min_samples, copy=True).fit(embedding)
    return found.labels_.astype(np.int64)


def components(points: int, edges: npt.NDArray[np.integer]) -> Labels:
    """Return the connected components of edges (2, E); points without an edge get -1."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    table = coo_array((np.ones(edges.shape[1], dtype=np.int8), (edges[0], edges[1])), shape=(points, points))
    labels = connected_components(table, directed=False)[1].astype(np.int64)
    alone = np.bincount(labels, minlength=1)[labels] == 1 if points else np.zeros(0, dtype=bool)
    labels[alone] = -1
    return labels
