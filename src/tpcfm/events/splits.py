"""Which events make up nested label subsets and shares of the data: pure functions of the event id."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.files import key64


def label_order(event_ids: Sequence[str], seed: int = 0) -> npt.NDArray[np.int64]:
    """Return the order in which events receive labels: its first ``n`` are the subset of ``n`` labels.

    Subsets are nested (100 within 1k within 10k). The order of two events depends on nothing but their ids and the
    seed, so it stays when further files are added. The draw is independent of that of `tpcfm.config.splits.hash_split`.

    Args:
        event_ids: ids of the labelled events.
        seed: another seed gives another order.

    Returns:
        (len(event_ids),) int64 positions in ``event_ids``.
    """
    keys = np.array([key64(f"labels:{event_id}", seed) for event_id in event_ids], np.uint64)
    return np.lexsort((np.array(event_ids, dtype=str), keys)).astype(np.int64)


def data_fraction(event_ids: Sequence[str], fraction: float, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return the positions of a share of the events, in ascending order; smaller shares are subsets of larger ones.

    Args:
        event_ids: ids of the events.
        fraction: share to keep, 0 < fraction <= 1; at least one event stays.
        seed: another seed gives another choice.

    Raises:
        DataError: the share is out of range.
    """
    if not 0 < fraction <= 1:
        raise DataError(f"data fraction {fraction}: allowed is more than 0 and at most 1")
    keys = np.array([key64(f"fraction:{event_id}", seed) for event_id in event_ids], np.uint64)
    order = np.lexsort((np.array(event_ids, dtype=str), keys))
    return np.sort(order[: math.ceil(fraction * len(event_ids))]).astype(np.int64)
