"""Text and figure of the liquid-argon calibration: example events, aggregates, real against simulated tracks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from tpcfm.files import atomic
from tpcfm.report.published.calibration.lartpc import (
    PUBLISHED_EVENTS,
    PUBLISHED_VOXELS,
    SEMANTIC,
    SEMANTIC_COLOURS,
    aggregates,
    group_sizes,
    simulate_events,
)
from tpcfm.report.published.calibration.tracks import TrackComparison, compare_tracks
from tpcfm.simulate.lartpc import LartpcEvent
from tpcfm.simulate.lartpc.apparatus import EDGE

_SIMULATED, _PUBLISHED = "#2f6fde", "#e4572e"


def _display(axis: Any, event: LartpcEvent, title: str) -> None:
    """Project one event onto the z-y plane, coloured by class, low-energy deposits behind."""
    semantic = event.point_semantic
    for k in (4, 1, 0, 3, 2):
        at = semantic == k
        size = 0.4 if k == 4 else 1.2
        axis.scatter(event.voxel[at, 2], event.voxel[at, 1], s=size, c=SEMANTIC_COLOURS[k], label=SEMANTIC[k], lw=0)
    axis.set(xlim=(0, EDGE), ylim=(0, EDGE), title=title, xlabel="z (voxel)", ylabel="y (voxel)", aspect="equal")


def _two(axis: Any, simulated: np.ndarray, real: np.ndarray, bins: np.ndarray, xlabel: str) -> None:
    """Draw the simulated distribution as an area and the real one as points with Poisson errors, both as densities."""
    axis.hist(simulated, bins, density=True, color=_SIMULATED, alpha=0.45, label="simulated")
    count, _ = np.histogram(real, bins)
    norm = np.diff(bins) * max(count.sum(), 1)
    axis.errorbar(
        0.5 * (bins[1:] + bins[:-1]),
        count / norm,
        np.sqrt(count) / norm,
        fmt="o",
        ms=3,
        color="black",
        label="real event",
    )
    axis.set(xlabel=xlabel, ylabel="density")
    axis.legend(frameon=False)


def draw(path: Path, events: Sequence[LartpcEvent], sizes: np.ndarray, tracks: TrackComparison | None) -> None:
    """Write the figure.

    Args:
        path: file to write; the suffix chooses the format.
        events: simulated events, at least three.
        sizes: group sizes of all events.
        tracks: comparison with real muon tracks, or None.

    Raises:
        MachineError: the file cannot be written.
    """
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = 2 if tracks is None else 3
    figure, axes = plt.subplots(rows, 3, figsize=(13, 4.2 * rows), layout="constrained")
    points = np.array([e.energy.size for e in events])
    for axis, quantile in zip(axes[0], (0.35, 0.6, 0.9)):
        k = int(np.argmin(np.abs(points - np.quantile(points, quantile))))
        _display(axis, events[k], f"simulated event {k}: {points[k]:,} points")
    axes[0, 0].legend(markerscale=6, frameon=False, fontsize=8, loc="upper left")

    axes[1, 0].hist(points, np.linspace(0, 20_000, 61), color=_SIMULATED, alpha=0.6)
    axes[1, 0].axvline(points.mean(), color=_SIMULATED, label=f"simulated mean {points.mean():,.0f}")
    published = sum(PUBLISHED_VOXELS) / PUBLISHED_EVENTS
    axes[1, 0].axvline(published, color=_PUBLISHED, ls="--", label=f"published mean {published:,.0f}")
    axes[1, 0].set(xlabel="points per event", ylabel="events")
    axes[1, 0].legend(frameon=False)

    ours = np.sum([np.bincount(e.semantic, weights=e.size, minlength=5) for e in events], axis=0)
    at = np.arange(5)
    axes[1, 1].bar(at - 0.2, 100 * ours / ours.sum(), 0.4, color=_SIMULATED, label="simulated")
    theirs = np.array(PUBLISHED_VOXELS, float)
    axes[1, 1].bar(at + 0.2, 100 * theirs / theirs.sum(), 0.4, color=_PUBLISHED, label="published")
    axes[1, 1].set(
        yscale="log", ylabel="share of all voxels (%)", xticks=at, xticklabels=[SEMANTIC[k] for k in range(5)]
    )
    axes[1, 1].legend(frameon=False)

    axes[1, 2].hist(sizes, np.arange(0, 121) - 0.5, color=_SIMULATED, alpha=0.6, label="simulated")
    axes[1, 2].axvline(16, color=_PUBLISHED, ls="--", label="published peak")
    axes[1, 2].set(xlabel="points per group (r = 5 voxels, no cap)", ylabel="groups")
    axes[1, 2].legend(frameon=False)

    if tracks is not None:
        a, b = tracks.simulated, tracks.real
        _two(axes[2, 0], a.energy, b.energy, np.linspace(0.1, 1.5, 36), "energy per voxel of a muon track (MeV)")
        _two(axes[2, 1], a.loss, b.loss, np.linspace(1.2, 4.0, 29), "dE/dx over 3 cm (MeV/cm)")
        _two(axes[2, 2], a.neighbours, b.neighbours, np.arange(2, 25) - 0.5, "track voxels within 5 voxels")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)


def calibrate(events: int, seed: int, *, real: Path | None = None, figure: Path | None = None) -> str:
    """Return the comparison as text; with ``real`` muon tracks too; with ``figure`` the pictures are written there.

    Raises:
        DataError: ``real`` cannot be read or holds no muon track.
        MachineError: the figure cannot be written.
    """
    made = simulate_events(events, seed)
    table = aggregates(made)
    text = [f"{events} simulated events (seed {seed}) and PILArNet-M (arXiv 2502.02558)", _text(table)]
    pair = None
    if real is not None:
        pair = compare_tracks(real, seed)
        entry = ", ".join(f"{e:.0f}" for e in pair.entry_energy)
        text += ["", f"muon tracks: simulated and {real.name} (fitted entry energy {entry} MeV)", _text(pair.table)]
    if figure is not None:
        draw(figure, made, np.concatenate([group_sizes(e) for e in made]), pair)
        text.append(f"figure: {figure}")
    return "\n".join(text)


def _text(table: pd.DataFrame) -> str:
    """Format numbers to four digits, missing ones as a dash."""
    return table.to_string(index=False, float_format="%.4g", na_rep="-")
