"""Pictures of FM4NPP in three dimensions: systems side by side, merged and separated tracks, serialized paths
(arXiv 2508.14087, Figs. 2, 10 to 12)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment

from tpcfm.detectors.sphenix import NOISE, PID
from tpcfm.evaluate.classification import class_scores, confusion_matrix
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.report.draw.displays import DETECTORS, PALETTE
from tpcfm.report.draw.panels import Cloud, Panel, Picture
from tpcfm.report.draw.pictures_polar_mae import FAINT, points

COLLIDER = DETECTORS["tpcpp"]
CLASSES = {"pid": PID, "noise": NOISE}
UNASSIGNED = "#c9c9c9"
NEAR_CM = 6.0
Labels = npt.NDArray[np.integer]


def comparison_picture(events: Mapping[str, Mapping[str, Any]], task: str, title: str = "") -> Picture:
    """Return truth and the prediction of each system, with counts, recall and precision in the titles.

    Args:
        events: by system, the same event: ``x y z prediction``, and ``truth`` if it is known.
        task: ``tracks``, ``pid`` or ``noise``.
    """
    first = next(iter(events.values()))
    xyz = points(first)
    truth = np.asarray(first["truth"]) if first.get("truth") is not None else None
    draw = _tracks if task == "tracks" else _classes
    panels = [] if truth is None else [draw(xyz, truth, None, task, "truth")]
    panels += [draw(xyz, np.asarray(event["prediction"]), truth, task, system) for system, event in events.items()]
    return Picture(panels, COLLIDER, title=title)


def _classes(xyz: npt.NDArray[Any], labels: Labels, truth: Labels | None, task: str, name: str) -> Panel:
    names, colours = CLASSES[task], COLLIDER.colours[task]
    clouds = [Cloud(xyz[labels == k], colours[k], name=names[k]) for k in names if (labels == k).any()]
    if truth is None:
        return Panel(
            name, clouds, [f"{names[k]}: {int((labels == k).sum())} points" for k in names if (labels == k).any()]
        )
    scores = class_scores(confusion_matrix(truth, labels, len(names)))
    text = []
    for k in names:
        if (truth == k).any():
            recall, precision = scores["recall"][k], scores["precision"][k]
            text.append(f"{names[k]}: {int((labels == k).sum())}, recall {recall:.2f}, precision {precision:.2f}")
    return Panel(name, clouds, text)


def _tracks(xyz: npt.NDArray[Any], labels: Labels, truth: Labels | None, task: str, name: str) -> Panel:
    if truth is None:
        colours = track_colours(labels, labels)
        count, lost = len(np.unique(labels[labels >= 0])), int((labels < 0).sum())
        return Panel(name, [Cloud(xyz, colours)], [f"{count} tracks" + (f", {lost} points on none" if lost else "")])
    tally = TrackingTally()
    tally.update(truth, labels)
    values = tally.values()
    text = [
        f"{len(np.unique(labels[labels >= 0]))} tracks, ARI {values['ari']:.2f}",
        f"efficiency {values['efficiency']:.2f}, purity {values['purity']:.2f}",
    ]
    return Panel(name, [Cloud(xyz, track_colours(truth, labels))], text)


def track_colours(truth: Labels, labels: Labels) -> list[str]:
    """Return a colour per point: a predicted track has the colour of the true track it shares most points with.

    Each colour is given once (the assignment with most shared points); further predicted tracks get colours of their own, points
    on no track are grey.
    """
    true, at = np.unique(truth, return_inverse=True)
    found, where = np.unique(labels, return_inverse=True)
    shared = np.zeros((len(true), len(found)))
    np.add.at(shared, (at, where), 1)
    shared[:, found < 0] = 0
    colour = np.full(len(found), -1)
    for row, column in zip(*linear_sum_assignment(-shared), strict=True):
        if shared[row, column] > 0:
            colour[column] = row
    free = len(true)
    for column in np.flatnonzero((colour < 0) & (found >= 0)):
        colour[column], free = free, free + 1
    table = [PALETTE[c % len(PALETTE)] if c >= 0 else UNASSIGNED for c in colour]
    return [table[column] for column in where]


def pair_picture(events: Mapping[str, Mapping[str, Any]], pair: Mapping[str, Any], title: str = "") -> Picture:
    """Return two true tracks and what each system makes of their points, seen from nearby; other points are faint.

    Args:
        events: by system, the same event: ``x y z truth prediction``.
        pair: ``track_a`` and ``track_b``.
    """
    first = next(iter(events.values()))
    xyz, truth = points(first), np.asarray(first["truth"])
    mine = np.isin(truth, [pair["track_a"], pair["track_b"]])
    low, high = xyz[mine].min(0) - NEAR_CM, xyz[mine].max(0) + NEAR_CM
    near = ~mine & ((xyz >= low) & (xyz <= high)).all(1)
    context = Cloud(xyz[near], FAINT, name="other points", size=1.8)
    tracks = [
        Cloud(xyz[truth == pair[key]], PALETTE[k], name=f"true track {'ab'[k]}", size=3.2)
        for k, key in enumerate(("track_a", "track_b"))
    ]
    panels = [Panel("truth", [context, *tracks], [f"{len(tracks[0].xyz)} and {len(tracks[1].xyz)} points"])]
    for system, event in events.items():
        labels = np.asarray(event["prediction"])[mine]
        found, counts = np.unique(labels, return_counts=True)
        held = [int(n) for label, n in sorted(zip(found, counts, strict=True), key=lambda p: -p[1]) if label >= 0]
        colours = np.asarray(track_colours(truth[mine], labels))
        text = (
            f"in predicted tracks with {', '.join(map(str, held[:4]))}{' ...' if len(held) > 4 else ''} of these points"
        )
        panels.append(
            Panel(system, [context, Cloud(xyz[mine], colours.tolist(), size=3.2)], [text if held else "on no track"])
        )
    return Picture(panels, COLLIDER, title=title, zoom=True)


def path_picture(paths: pd.DataFrame, title: str = "") -> Picture:
    """Return the path of each serialization through an event, coloured by the place in the sequence.

    Args:
        paths: ``order x y z same_next``, rows in the order of the sequence.
    """
    panels = []
    for name, rows in paths.groupby("order", sort=False):
        xyz, place = points(rows), np.linspace(0, 1, len(rows))
        same = rows["same_next"].iloc[0] if "same_next" in rows else float("nan")
        text = [f"{100 * same:.0f} % of the steps stay on a track"] if np.isfinite(same) else []
        clouds = [Cloud(xyz, values=place, size=3, line=True, opacity=0.45), Cloud(xyz, values=place, size=2)]
        panels.append(Panel(str(name), clouds, text))
    ticks = {0.0: "first", 0.5: "half", 1.0: "last"}
    return Picture(panels, COLLIDER, "place in the sequence", (0.0, 1.0), scale="Turbo", title=title, ticks=ticks)
