"""Error of per-point energies of masked groups (arXiv 2502.02558, Sec. 3)."""

from torch import Tensor


def squared_error_sum(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the summed squared error over valid slots (the mean over all valid points of the batch is the loss).

    Args:
        prediction, target: ``(M, K)`` transformed energies.
        valid: ``(M, K)`` bool.

    Returns:
        Scalar, float32.
    """
    error = (prediction.float() - target.float()).masked_fill(~valid, 0.0)
    return (error**2).sum()
