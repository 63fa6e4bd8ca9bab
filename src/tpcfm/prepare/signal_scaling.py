"""Scaling of a signal by the training events' own statistics: what `scaling: auto` of a detector means."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import AffineScaling


def fit_scaling(signals: Iterable[npt.NDArray[Any]]) -> AffineScaling:
    """Return the affine scaling with mean and standard deviation of signals (width 1 where all are equal)."""
    count, mean, squares = 0, 0.0, 0.0
    for values in signals:
        if len(values):  # joined as in Chan et al. 1983: exact to rounding, whatever the offset
            values = np.asarray(values, np.float64)
            own = float(values.mean())
            step, total = own - mean, count + len(values)
            squares += float(((values - own) ** 2).sum()) + step * step * count * len(values) / total
            mean += step * len(values) / total
            count = total
    spread = (squares / count) ** 0.5 if count else 0.0
    return AffineScaling(kind="affine", offset=mean, width=spread if spread > 0 else 1.0)
