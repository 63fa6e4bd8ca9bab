"""Truth and predictions of systems side by side, and pairs of objects that one merges and another separates."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.evaluate.classification import class_scores, confusion_matrix
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.report.draw.colouring import FAINT, NOTHING, PALETTE, WRONG, class_clouds, marker_size
from tpcfm.report.draw.panels import Cloud, Panel, Picture, points
from tpcfm.report.names import plain

SIZE = 0.8  # of the markers, beside a display of one event
NEAR = 6.0  # pitches around a pair
Labels = npt.NDArray[np.integer]


def prediction_picture(
    events: Mapping[str, Mapping[str, Any]], detector: Detector, task: str, title: str = ""
) -> Picture:
    """Return truth, the prediction of each system with counts and scores in its title, and where the last one is wrong.

    Args:
        events: by system, the same event: ``x y z prediction``, and ``truth`` if it is known (then in all).
        detector: of the events.
        task: label column that is predicted. An instance's point is wrong if it lies outside the predicted object that holds
            most points of its true one.
        title: of the picture.
    """
    label = detector.labels[task]
    first = next(iter(events.values()))
    xyz = points(first)
    size = SIZE * marker_size(len(xyz))
    truth = np.asarray(first["truth"]) if first.get("truth") is not None else None
    answers = {plain(system): np.asarray(event["prediction"]) for system, event in events.items()}
    if isinstance(label, ClassLabel):
        panels = [] if truth is None else [_classes(xyz, truth, None, label, "truth")]
        panels += [_classes(xyz, answer, truth, label, system) for system, answer in answers.items()]
    else:
        truth = None if truth is None else label.encode(truth)
        panels = [] if truth is None else [_objects(xyz, truth, None, task, "truth")]
        panels += [_objects(xyz, answer, truth, task, system) for system, answer in answers.items()]
    if truth is not None:
        system, answer = list(answers.items())[-1]
        if isinstance(label, ClassLabel):
            known = label.encode(truth) >= 0
            wrong = known & (truth != answer)
        else:
            known, wrong = np.ones(len(truth), bool), ~matched(truth, answer)
        right = Cloud(xyz[~wrong], FAINT, name="right" if known.all() else "right or not scored", size=0.75 * size)
        parts = [right, Cloud(xyz[wrong], WRONG, name="wrong", size=size)]
        panels.append(Panel(f"wrong: {system}", parts, [f"{int(wrong.sum())} of {int(known.sum())} points"]))
    return Picture(panels, detector, title=title)


def _classes(xyz: npt.NDArray[Any], labels: Labels, truth: Labels | None, label: ClassLabel, name: str) -> Panel:
    numbers = label.encode(labels)
    counts = {c: int((numbers == k).sum()) for k, c in enumerate(label.names)}
    text = [f"{c}: {n} points" for c, n in counts.items() if n]
    if truth is not None:
        true = label.encode(truth)
        known = (true >= 0) & (numbers >= 0)
        scores = class_scores(confusion_matrix(true[known], numbers[known], len(counts)))
        text = [
            f"{c}: {n}, recall {scores['recall'][k]:.2f}, precision {scores['precision'][k]:.2f}"
            for k, (c, n) in enumerate(counts.items())
            if (true == k).any()
        ]
    return Panel(name, class_clouds(xyz, labels, label, SIZE * marker_size(len(xyz))), text)


def _objects(xyz: npt.NDArray[Any], labels: Labels, truth: Labels | None, task: str, name: str) -> Panel:
    size = SIZE * marker_size(len(xyz))
    count, lost = len(np.unique(labels[labels >= 0])), int((labels < 0).sum())
    if truth is None:
        text = [f"{count} {task}s" + (f", {lost} points on none" if lost else "")]
        return Panel(name, [Cloud(xyz, object_colours(labels, labels), size=size)], text)
    tally = TrackingTally()
    tally.update(truth, labels)
    values = tally.values()
    text = [
        f"{count} {task}s, ARI {values['ari']:.2f}",
        f"efficiency {values['efficiency']:.2f}" + (f", purity {values['purity']:.2f}" if count else ""),
    ]
    return Panel(name, [Cloud(xyz, object_colours(truth, labels), size=size)], text)


def matched(truth: Labels, predicted: Labels) -> npt.NDArray[np.bool_]:
    """Return which points lie in the predicted object that holds most of their true one; background where none is predicted."""
    good = (truth < 0) & (predicted < 0)
    for one in np.unique(truth[truth >= 0]):
        mine = truth == one
        labels, counts = np.unique(predicted[mine & (predicted >= 0)], return_counts=True)
        if len(labels):
            good |= mine & (predicted == labels[counts.argmax()])
    return good


def object_colours(truth: Labels, labels: Labels) -> list[str]:
    """Return a colour per point: a predicted object has the colour of the true one it shares most points with.

    Each colour is given once (the assignment with most shared points); further predicted objects get colours of their own, points
    of none are grey.
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
    table = [PALETTE[c % len(PALETTE)] if c >= 0 else NOTHING for c in colour]
    return [table[column] for column in where]


def pair_picture(
    events: Mapping[str, Mapping[str, Any]], pair: Mapping[str, Any], detector: Detector, title: str = ""
) -> Picture:
    """Return two true tracks and what each system makes of their points, seen from nearby; other points are faint.

    Args:
        events: by system, the same event: ``x y z truth prediction``.
        pair: ``track_a`` and ``track_b``.
        detector: of the events.
        title: of the picture.
    """
    first = next(iter(events.values()))
    xyz, truth = points(first), np.asarray(first["truth"])
    mine = np.isin(truth, [pair["track_a"], pair["track_b"]])
    border = NEAR * detector.pitch
    near = ~mine & ((xyz >= xyz[mine].min(0) - border) & (xyz <= xyz[mine].max(0) + border)).all(1)
    context = Cloud(xyz[near], FAINT, name="other points", size=1.8)
    tracks = [
        Cloud(xyz[truth == pair[key]], PALETTE[k], name=f"true track {'ab'[k]}", size=3.2)
        for k, key in enumerate(("track_a", "track_b"))
    ]
    panels = [Panel("truth", [context, *tracks], [f"{len(tracks[0].xyz)} and {len(tracks[1].xyz)} points"])]
    for system, event in events.items():
        labels = np.asarray(event["prediction"])[mine]
        counts = np.sort(np.unique(labels[labels >= 0], return_counts=True)[1])[::-1].tolist()
        shown = ", ".join(map(str, counts[:4])) + (" ..." if len(counts) > 4 else "")
        text = f"in predicted tracks with {shown} of these points" if counts else "on no track"
        found = Cloud(xyz[mine], object_colours(truth[mine], labels), size=3.2)
        panels.append(Panel(system, [context, found], [text]))
    return Picture(panels, detector, title=title, zoom=True)
