"""Events per second of each tokenizer on one core, against batch size and against event size.

Events are independent of each other, so more cores simply do more event tables at a time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tpcfm.prepare.geometry.cells import as_coordinates
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig

METHODS: tuple[Literal["cnms", "fps_cnms", "fps_ball", "fps_knn"], ...] = ("cnms", "fps_cnms", "fps_ball", "fps_knn")
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
EVENT_SIZES = (1000, 2000, 5000, 10_000, 20_000, 50_000)
_SECONDS = 0.1  # measured at least this long per point of a curve


def event_of_size(events: Sequence[npt.NDArray[Any]], n: int) -> npt.NDArray[Any]:
    """Return an event of exactly ``n`` points at natural density: events laid side by side, the last one cut off.

    The cut follows the canonical order of the last event, so a connected part of it remains.
    """
    parts: list[npt.NDArray[Any]] = []
    total, apart = 0, 2 * max(int(np.ptp(event[:, 0])) + 1 for event in events)
    while total < n:
        event = as_coordinates(events[len(parts) % len(events)])
        event = event[np.lexsort(event.T[::-1])][: n - total]
        parts.append(event + np.array([len(parts) * apart, 0, 0], event.dtype))
        total += len(event)
    return np.concatenate(parts)


def seconds(work: Callable[[], Any], at_least: float = _SECONDS) -> float:
    """Return the median processor time of one call, after one to warm up: other jobs on the machine do not count."""
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < at_least:
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def throughput(events: Sequence[npt.NDArray[Any]], radius: float, pitch: float = 1.0) -> list[dict[str, Any]]:
    """Measure every method on one core, against the events per batch and against the points per event.

    Returns:
        Rows ``method``, ``against`` ("batch_size" or "points"), ``value``, ``events_per_second``, and the same of points.
    """
    rows = []
    for method in METHODS:
        config = TokenizerConfig(method=method, radius=radius)
        for size in BATCH_SIZES:
            batch = [events[i % len(events)] for i in range(size)]
            rows.append(_row(config, pitch, "batch_size", size, batch))
        for points in EVENT_SIZES:
            rows.append(_row(config, pitch, "points", points, [event_of_size(events, points)]))
    return rows


def _row(
    config: TokenizerConfig, pitch: float, against: str, value: int, batch: Sequence[npt.NDArray[Any]]
) -> dict[str, Any]:
    spent = seconds(lambda: [group(event, config, pitch=pitch) for event in batch])
    rates = {"events_per_second": len(batch) / spent, "points_per_second": sum(map(len, batch)) / spent}
    return {"method": config.method, "against": against, "value": value, **rates}
