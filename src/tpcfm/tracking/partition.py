"""Objects out of scored pairs by greedy additive edge contraction (Keuper et al., ICCV 2015): one false pair does not join two tracks."""

import heapq

import numpy as np
import numpy.typing as npt

LEAST = 1e-6  # scores are kept this far from 0 and 1


def partition(
    points: int, edges: npt.NDArray[np.integer], scores: npt.NDArray[np.floating], threshold: float
) -> npt.NDArray[np.int64]:
    """Return the object of each point (N,), -1 for a point alone.

    A pair votes with the log-odds of its score less those of the threshold. Beginning with the strongest, two parts are joined as long as
    the votes of all pairs between them add up to more than zero; so, unlike with connected components, pairs that speak against count.

    Args:
        points: of the event.
        edges: (2, E) pairs, each once.
        scores: (E,) probabilities that both belong to one object.
        threshold: score without a vote.
    """
    chance = np.clip(scores.astype(np.float64), LEAST, 1 - LEAST)
    votes = np.log(chance / (1 - chance)) - np.log(threshold / (1 - threshold))
    near: list[dict[int, float]] = [{} for _ in range(points)]
    for a, b, vote in zip(*edges.tolist(), votes.tolist(), strict=True):
        near[a][b] = near[b][a] = vote
    # Entries are looked at again when they come up: a sum may have changed since. The part of a point is found at its representative.
    heap = [(-vote, a, b) for a, b, vote in zip(*edges.tolist(), votes.tolist(), strict=True) if vote > 0]
    heapq.heapify(heap)
    part = list(range(points))
    while heap:
        vote, a, b = heapq.heappop(heap)
        if part[a] != a or part[b] != b or near[a].get(b) != -vote:
            continue
        if len(near[a]) < len(near[b]):
            a, b = b, a
        part[b] = a
        del near[a][b], near[b][a]
        for other, found in near[b].items():
            total = near[a].get(other, 0.0) + found
            near[a][other] = near[other][a] = total
            del near[other][b]
            if total > 0:
                heapq.heappush(heap, (-total, min(a, other), max(a, other)))
        near[b].clear()
    for point in range(points):
        root = point
        while part[root] != root:
            root = part[root]
        part[point] = root
    labels = np.array(part, np.int64)
    alone = np.bincount(labels, minlength=points)[labels] == 1 if points else np.zeros(0, bool)
    labels[alone] = -1
    return labels
