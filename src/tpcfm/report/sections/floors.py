"""Naive floors in figures: what an answer that has learned nothing reaches on the same events."""

import pandas as pd
from matplotlib.axes import Axes

from tpcfm.report.draw.style import MUTED


def draw_floor(axes: Axes, metrics: pd.DataFrame) -> None:
    """Draw the error of predicting every point's own position, if the runs have recorded it and agree on it.

    Args:
        axes: of a validation error.
        metrics: metrics table of pretraining runs with one objective; others have another floor.
    """
    chosen = (metrics["metric"] == "floor_own_position") & (metrics["split"] == "validation")
    floor = metrics.loc[chosen, "value"]
    if len(floor) and floor.max() - floor.min() <= 1e-6 * floor.max():
        _line(axes, float(floor.iloc[0]), "floor: own position")


def draw_majority(axes: Axes, metrics: pd.DataFrame) -> None:
    """Draw the accuracy of always answering the most frequent class, where the runs have recorded it.

    Args:
        axes: of an accuracy.
        metrics: metrics table of runs of one task on the same test events.
    """
    floor = metrics.loc[(metrics["metric"] == "majority") & (metrics["split"] == "test"), "value"]
    if len(floor):
        _line(axes, float(floor.mean()))  # named in the caption: legends there are full


def _line(axes: Axes, value: float, label: str | None = None) -> None:
    axes.axhline(value, color=MUTED, linestyle=":", linewidth=1.2, label=label)
