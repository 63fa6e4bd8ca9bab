"""Colours of token embeddings: principal components without what the position explains (arXiv 2502.02558, App. D)."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def remove_position(features: Floats, centre: Floats) -> npt.NDArray[np.float64]:
    """Return the residual of a least-squares fit of the features by [1, centre].

    Args:
        features: ``(T, D)``.
        centre: ``(T, 3)`` token centres.
    """
    design = np.concatenate([np.ones((len(centre), 1)), centre], axis=1).astype(np.float64)
    values = np.asarray(features, dtype=np.float64)
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    return values - design @ solution


def component_colours(features: Floats, centre: Floats) -> npt.NDArray[np.float64]:
    """Return ``(T, 3)`` colours in [0, 1]: three principal components of the position-free features, each min-max scaled.

    The sign of a component is fixed (its largest weight is positive), so equal features give equal colours. Components that
    do not exist (fewer than three tokens or channels, or no variance) are 0.5.
    """
    residual = remove_position(features, centre)
    residual -= residual.mean(0)
    _, size, axes = np.linalg.svd(residual, full_matrices=False)
    colours = np.full((len(residual), 3), 0.5)
    scale = np.abs(np.asarray(features, dtype=np.float64)).max(initial=0.0)
    for k in range(min(3, len(size))):
        if size[k] <= 1e-9 * max(scale, 1e-300) * len(residual):
            continue
        axis = axes[k] * np.sign(axes[k][np.abs(axes[k]).argmax()])
        value = residual @ axis
        colours[:, k] = (value - value.min()) / (value.max() - value.min())
    return colours
