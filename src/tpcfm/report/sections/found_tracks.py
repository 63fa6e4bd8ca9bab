"""Found tracks against momentum, direction and occupancy: efficiency, fakes, duplicates; resolution of pT and charge of their helix fits."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from tpcfm.evaluate.found_tracks import DUPLICATE, FAKE, NAME, measured, share
from tpcfm.evaluate.intervals import residual_spread
from tpcfm.evaluate.kinematics import efficiency_in_bins
from tpcfm.evaluate.momentum_bins import MIN_POINTS, PT_EDGES
from tpcfm.report.draw.style import Item, colour, legend, log_axes, marker
from tpcfm.report.sections.label_tables import cell, labels, means
from tpcfm.report.tables import table
from tpcfm.report.view import TaskView

ETA_EDGES = (-2.0, -1.1, -0.5, 0.0, 0.5, 1.1, 2.0)
OCCUPANCY_BINS = 4  # with about equally many events each
FEWEST = 10  # tracks of a bin that has a resolution
RATES = {"efficiency": "efficiency", "fake": "fake rate", "duplicate": "duplicate rate"}
SCORES = {
    "fake_rate": "fakes",
    "duplicate_rate": "duplicates",
    "pt_resolution": "pT resolution",
    "pt_bias": "pT bias",
    "charge_correct": "right charge",
}
RULES = (
    f"Tracks of at least {MIN_POINTS} points. Efficiency: true tracks matched by double majority. Fake: no true track has more than half of the "
    "points; duplicate: the true track has a better found one. Momenta, directions and charges of found tracks are those of a helix fit to their "
    "points (no vertex)."
)


def track_items(task: TaskView) -> list[Item]:
    """Return these figures and their table, of every network at its largest number of labels, first seed; nothing without such tracks."""
    frames = _tracks(task)
    if not frames:
        return []
    items = [_rates(task, frames), *_fits(task, frames)]
    found = {metric: means(task, metric) for metric in SCORES}
    keys = list(dict.fromkeys(key for rows in found.values() for key in rows))
    body = [[key[0], labels(key), *(cell(rows.get(key)) for rows in found.values())] for key in keys]
    caption = (
        f"{RULES} Resolution: half of the central 68 % of (fitted - true) / true pT of good tracks, bias: its median; right charge: share of the "
        "same tracks. A dash: no true momenta."
    )
    name, title = f"table-{task.name}-tracks", f"{task.title}: found tracks"
    return [*items, table(task.view.sheet, name, title, ["system", "labels", *SCORES.values()], body, caption)]


def _tracks(task: TaskView) -> dict[str, pd.DataFrame]:
    """Return the tracks of one run per network."""
    runs = task.rows.sort_values(["n_labels", "seed"], ascending=[False, True]).drop_duplicates("point")
    paths = {str(row.point): task.view.workspace.run(str(row.run)) / NAME for row in runs.itertuples()}
    return {point: pd.read_parquet(path) for point, path in sorted(paths.items()) if path.is_file()}


def _occupancy_edges(frames: dict[str, pd.DataFrame]) -> list[float]:
    events = np.unique(np.concatenate([frame["occupancy"].unique() for frame in frames.values()]))
    edges = np.unique(np.quantile(events, np.linspace(0, 1, OCCUPANCY_BINS + 1)).round())
    return [*edges[:-1].tolist(), float(edges[-1] + 1)]


def _rate(frame: pd.DataFrame, rate: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the tracks that a rate is a share of, and which of them count."""
    if rate == "efficiency":
        true = frame[frame["kind"] == "true"]
        return true, true["matched"].astype(bool)
    found = frame[frame["kind"] == "found"]
    return found, found["fate"] == {"fake": FAKE, "duplicate": DUPLICATE}[rate]


def _rates(task: TaskView, frames: dict[str, pd.DataFrame]) -> Item:
    sheet = task.view.sheet
    edges = {"pt": list(PT_EDGES), "eta": list(ETA_EDGES), "occupancy": _occupancy_edges(frames)}
    names = {"pt": "pT (GeV)", "eta": "pseudorapidity", "occupancy": "points in the event"}
    figure, grid = sheet.axes(3, 3, width=3.6, height=2.5, sharex="col", sharey="row")
    for line, (rate, title) in enumerate(RATES.items()):
        for axes, (quantity, cuts) in zip(grid[line], edges.items(), strict=True):
            for index, (point, frame) in enumerate(frames.items()):
                tracks, passed = _rate(frame, rate)
                bins = efficiency_in_bins(tracks[quantity].to_numpy(), passed.to_numpy(), cuts).dropna()
                low, high = bins["left"], bins["right"]
                places = ((low * high) ** 0.5 if quantity == "pt" else (low + high) / 2).tolist()
                _draw(axes, index, point, places, bins["efficiency"].tolist(), bins[["low", "high"]].to_numpy())
            axes.set_ylim(0, 1.02 if rate == "efficiency" else None)
        grid[line][0].set_ylabel(title)
    for axes, name in zip(grid[-1], names.values(), strict=True):
        axes.set_xlabel(name)
    for axes in grid[:, 0]:
        log_axes(axes)
    legend(grid[0][-1], fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    kind = (
        "the particles" if any(frame["known"].any() for frame in frames.values()) else "helix fits to the true tracks"
    )
    caption = f"{RULES} Kinematics of true tracks: of {kind}. 95 % Wilson intervals."
    return sheet.finish(
        figure, f"tracks-{task.name}", f"{task.title}: efficiency, fakes and duplicates", caption, wide=True
    )


def _fits(task: TaskView, frames: dict[str, pd.DataFrame]) -> list[Item]:
    good = {point: measured(frame[frame["kind"] == "found"]) for point, frame in frames.items()}
    if not any(map(len, good.values())):
        return []
    figure, (left, middle, right) = task.view.sheet.axes(3, width=3.6, height=3.0)
    for index, (point, tracks) in enumerate(good.items()):
        rows: dict[str, list[tuple[float, float, tuple[float, float]]]] = {
            "pt_resolution": [],
            "pt_bias": [],
            "charge": [],
        }
        for low, high in pairwise(PT_EDGES):
            inside = tracks[(tracks["true_pt"] >= low) & (tracks["true_pt"] < high)]
            if len(inside) >= FEWEST:
                scores = {
                    **residual_spread(inside["residual"].to_numpy(), "pt"),
                    "charge": share((inside["charge"] == inside["true_charge"]).to_numpy()),
                }
                for name, (value, interval) in scores.items():
                    rows[name].append(((low * high) ** 0.5, value, interval))
        for axes, found in zip((left, middle, right), rows.values(), strict=True):
            places, values = [place for place, _, _ in found], [value for _, value, _ in found]
            _draw(axes, index, point, places, values, np.array([interval for _, _, interval in found]))
    for axes, name in zip((left, middle, right), ("pT resolution", "pT bias", "right charge"), strict=True):
        axes.set_xlabel("true pT (GeV)")
        axes.set_ylabel(name)
        log_axes(axes)
    right.set_ylim(None, 1.005)
    legend(right, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    caption = (
        "Good found tracks: half of the central 68 % and the median of (fitted - true) / true pT, 95 % from a bootstrap over tracks, and the share of right "
        f"charges (Wilson), in bins of at least {FEWEST} tracks. The true momentum is that of the particle where it was made; loopers below 0.15 GeV "
        "turn more than the fit assumes."
    )
    title = f"{task.title}: helix fits of found tracks"
    return [task.view.sheet.finish(figure, f"track-fits-{task.name}", title, caption, wide=True)]


def _draw(axes: Any, index: int, point: str, places: list[float], values: list[float], intervals: Any) -> None:
    """Draw values with their intervals, (n, 2)."""
    if places:
        middle = np.array(values)
        errors = np.array([middle - intervals[:, 0], intervals[:, 1] - middle]).clip(min=0)  # rounding
        style = {"fmt": marker(index) + "-", "color": colour(index), "capsize": 2, "linewidth": 1.0, "markersize": 4}
        axes.errorbar(places, middle, errors, label=point, **style)
