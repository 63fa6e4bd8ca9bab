"""Projections of features to a few dimensions: principal components, t-SNE, and UMAP where it is installed."""

import importlib.util

import numpy as np
import numpy.typing as npt

from tpcfm.errors import ConfigError, DataError, MachineError

METHODS = ("pca", "tsne", "umap")
TSNE_STEPS = 400


def has_umap() -> bool:
    """Return whether the optional package ``umap-learn`` is installed."""
    return importlib.util.find_spec("umap") is not None


def standardise(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return features with mean 0 and standard deviation 1 per channel; constant channels become 0."""
    values = np.asarray(features, dtype=np.float64)
    spread = values.std(0)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)


def project(
    features: npt.NDArray[np.floating], method: str, dims: int = 2, *, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Return (N, dims) coordinates of features in fewer dimensions.

    ``pca`` keeps the units and fixes the sign of each component (its largest weight is positive); ``tsne`` starts from the
    principal components, with perplexity 30 or a third of the points; ``umap`` uses its defaults (15 neighbours, or all there are).

    Args:
        features: (N, D), N > 3.
        method: one of `METHODS`.
        dims: for ``tsne`` 2 to 5; above 3 the exact algorithm, whose cost grows with N squared.
        seed: of t-SNE and UMAP.

    Raises:
        ConfigError: no such method, or more dimensions than it can have.
        DataError: too few points or values that are not finite.
        MachineError: ``umap`` is not installed.
    """
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or len(values) < 4 or not np.isfinite(values).all():
        raise DataError(f"projection: features {values.shape}; expected finite (N, D) with N > 3")
    most = min(values.shape) if method == "pca" else 5
    if method not in METHODS or not 1 <= dims <= most:
        raise ConfigError(f"projection: method {method!r} to {dims}; allowed: {', '.join(METHODS)}, 1 to {most}")
    if method == "pca":
        return _components(values, dims).astype(np.float32)
    if method == "umap":
        if not has_umap():
            raise MachineError("projection: umap is not installed here (package umap-learn); pca and tsne are")
        from umap import UMAP

        # Neighbours and threads are what it would fall back to by itself, with a warning.
        model = UMAP(n_neighbors=min(15, len(values) - 1), n_components=dims, random_state=seed, n_jobs=1)
        return np.asarray(model.fit_transform(values), dtype=np.float32)
    from sklearn.manifold import TSNE

    start = np.zeros((len(values), dims))
    usable = min(dims, *values.shape)
    start[:, :usable] = _components(values, usable)
    start *= 1e-4 / max(start[:, 0].std(), 1e-30)
    model = TSNE(
        dims,
        perplexity=min(30.0, (len(values) - 1) / 3),
        method="barnes_hut" if dims <= 3 else "exact",
        max_iter=TSNE_STEPS,
        # The default has a floor of 50, too large a step for few points in four and five dimensions: clusters fall apart.
        learning_rate="auto" if dims <= 3 else max(len(values) / 48, 10.0),
        init=start,
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(values), dtype=np.float32)


def _components(values: npt.NDArray[np.float64], dims: int) -> npt.NDArray[np.float64]:
    centred = values - values.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:dims]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
    return centred @ (axes * np.where(signs == 0, 1, signs)[:, None]).T
