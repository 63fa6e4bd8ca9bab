"""Losses of masked pretraining, term by term: what PoLAr-MAE and Point-MAE share, and the energy task that only one of them has."""

from collections.abc import Mapping

import pandas as pd

from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet, colour, legend
from tpcfm.report.names import plain

TERMS = {"chamfer": "chamfer loss of masked groups", "energy": "energy loss of masked groups"}


def masked_loss_items(plan: Plan, logs: Mapping[str, pd.DataFrame], sheet: Sheet) -> list[Item]:
    """Return validation losses against step for every objective, one panel per term that any run has.

    Args:
        logs: training log of each run, as far as there are any.
    """
    study = plan.studies.get("pretrain_polar_mae")
    runs = [p for p in study.points if p.run in logs] if study else []
    terms = [t for t in TERMS if any(t in logs[p.run] for p in runs)]
    if not terms:
        return []
    figure, grid = sheet.axes(len(terms), width=4.6, height=3.1, squeeze=False)
    names = list(dict.fromkeys(p.value for p in runs))
    for axes, term in zip(grid[0], terms, strict=True):
        labelled = set()
        for point in runs:
            log = logs[point.run]
            if term not in log:
                continue
            rows = log[(log["split"] == "validation") & log[term].notna()]
            label = None if point.value in labelled else plain(point.value)
            labelled.add(point.value)
            axes.plot(
                rows["step"], rows[term], color=colour(names.index(point.value)), marker="o", markersize=3, label=label
            )
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(TERMS[term])
        axes.set_ylim(bottom=0)
        legend(axes)
    caption = (
        "Validation split. Chamfer: squared distance between predicted and true points of a masked group, in position over radius and scaled energy; both "
        "objectives have it. Energy: mean squared error of scaled energies at given positions, the second task of PoLAr-MAE (arXiv 2502.02558, Sec. 3)."
    )
    title = "PoLAr-MAE and Point-MAE: validation loss"
    return [sheet.finish(figure, "loss-polar_mae", title, caption, wide=True)]
