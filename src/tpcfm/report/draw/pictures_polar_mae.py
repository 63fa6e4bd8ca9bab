"""Pictures of PoLAr-MAE: features as colours, attention, reconstruction, segmentation (arXiv 2502.02558, Figs. 8 and 9)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.detectors.pilarnet import SEGMENTATION_CLASSES
from tpcfm.evaluate.classification import class_scores, confusion_matrix
from tpcfm.report.draw.displays import DETECTORS
from tpcfm.report.draw.panels import Cloud, Panel, Picture
from tpcfm.report.names import plain

LIQUID_ARGON = DETECTORS["pilarnet"]
FAINT, WRONG = "#d3d9e0", "#d1495b"
ATTENTION_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100)
ENERGY_TICKS = {float(np.log10(value)): f"{value:g}" for value in (0.1, 0.2, 0.5, 1, 2, 5, 10)}


def points(event: Mapping[str, Any] | pd.DataFrame, prefix: str = "") -> npt.NDArray[np.float32]:
    """Return (N, 3) coordinates of the columns ``<prefix>x y z``."""
    return np.stack([np.asarray(event[prefix + axis], dtype=np.float32) for axis in "xyz"], axis=1)


def feature_picture(tokens: Mapping[str, pd.DataFrame], title: str = "", layout: str = "pilarnet") -> Picture:
    """Return tokens coloured by three principal components of their features, one panel per encoder.

    Args:
        tokens: by start: ``x y z`` (voxel) and ``r g b`` in [0, 1], one row per token.
        title: of the picture.
        layout: the detector; for ``tpcpp`` one row per point, in cm.
    """
    panels = []
    for name, table in tokens.items():
        rgb = (255 * table[["r", "g", "b"]].clip(0, 1).to_numpy()).round().astype(int)
        colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb]
        panels.append(Panel(plain(name), [Cloud(points(table), colours, size=3.6)]))
    return Picture(panels, DETECTORS[layout], title=title)


def attention_picture(tokens: pd.DataFrame, attention: pd.DataFrame, title: str = "") -> Picture:
    """Return where query tokens look: a panel per query, tokens coloured by log10 of their weight over the uniform one.

    Args:
        tokens: ``x y z`` (voxel), one row per token.
        attention: ``query token layer head weight`` of one encoder, layers and heads from 1, ``weight`` a list per row.
    """
    xyz = points(tokens)
    versions = [f"layer {a}, head {b}" for a, b in attention[["layer", "head"]].drop_duplicates().to_numpy()]
    panels = []
    for key, rows in attention.groupby("query", sort=False):
        name = str(key)
        token = int(rows["token"].iloc[0])
        values = {
            f"layer {row.layer}, head {row.head}": np.log10(np.maximum(np.asarray(row.weight) * len(xyz), 1e-3))
            for row in rows.itertuples()
        }
        clouds = [
            Cloud(xyz, values=values, size=3.4),
            Cloud(xyz[token : token + 1], WRONG, name="query token", size=8),
        ]
        panels.append(Panel(f"query: {name}" if name.startswith("token") else f"query in a {name} token", clouds))
    bar = "attention × number of tokens"
    found = {name: np.concatenate([p.clouds[0].version(name) for p in panels]) for name in versions}
    # The range of all maps, so that heads can be compared; the one with most contrast is shown first.
    reach = float(np.clip(np.quantile(np.abs(np.concatenate(list(found.values()))), 0.998), 0.1, 2.0))
    first = max(versions, key=lambda name: float(found[name].std()))
    ticks = {float(np.log10(value)): f"{value:g}" for value in ATTENTION_TICKS if abs(np.log10(value)) <= reach}
    return Picture(
        panels,
        LIQUID_ARGON,
        bar,
        (-reach, reach),
        title=title,
        versions=versions,
        first=first,
        menu="attention of",
        ticks=ticks,
    )


def reconstruction_picture(event: Mapping[str, Any], title: str = "") -> Picture:
    """Return what the encoder sees, the masked points, and the predicted ones, coloured by energy.

    Args:
        event: ``visible_x`` ... ``predicted_energy`` as the pretraining recipe writes them, and ``masked_energy_predicted`` if the
            model predicts the energy of given points.
    """
    energy = {kind: _log_energy(event[f"{kind}_energy"]) for kind in ("visible", "masked", "predicted")}
    xyz = {kind: points(event, f"{kind}_") for kind in energy}
    context = Cloud(xyz["visible"], FAINT, name="visible", size=1.8, opacity=0.6)
    share = len(xyz["masked"]) / max(len(xyz["masked"]) + len(xyz["visible"]), 1)
    panels = [
        Panel("what the encoder sees", [Cloud(xyz["visible"], values=energy["visible"])], [f"{100 * (1 - share):.0f} % of the points"]),
        Panel("masked: truth", [context, Cloud(xyz["masked"], values=energy["masked"])], [f"{len(xyz['masked'])} points in groups"]),
        Panel("masked: predicted", [context, Cloud(xyz["predicted"], values=energy["predicted"])], ["positions and energies"]),
    ]  # fmt: skip
    if event.get("masked_energy_predicted") is not None:
        given = _log_energy(event["masked_energy_predicted"])
        panels.append(
            Panel("energy task", [context, Cloud(xyz["masked"], values=given)], ["energies at true positions"])
        )
    return Picture(panels, LIQUID_ARGON, "energy (MeV)", (-1.0, 1.0), title=title, ticks=ENERGY_TICKS, zoom=True)


def segmentation_picture(events: Mapping[str, Mapping[str, Any]], title: str = "") -> Picture:
    """Return truth, the prediction of each system with F1 per class, and the difference of the last.

    Args:
        events: by system: ``x y z prediction``, and ``truth`` if it is known (then in all).
    """
    names, colours = LIQUID_ARGON.names["semantic"], LIQUID_ARGON.colours["semantic"]
    first = next(iter(events.values()))
    xyz = points(first)

    def classes(labels: npt.NDArray[np.integer]) -> list[Cloud]:
        return [Cloud(xyz[labels == k], colours[k], name=names[k]) for k in np.unique(labels).tolist()]

    panels = []
    truth = np.asarray(first["truth"]) if first.get("truth") is not None else None
    if truth is not None:
        counts = [f"{name} {int((truth == k).sum())}" for k, name in enumerate(SEGMENTATION_CLASSES)]
        panels.append(Panel("truth", classes(truth), [", ".join(counts)]))
    for system, event in events.items():
        labels = np.asarray(event["prediction"])
        lines = [] if truth is None else [_f1(truth, labels)]
        panels.append(Panel(plain(system), classes(labels), lines))
    if truth is not None:
        wrong = truth != labels
        parts = [Cloud(xyz[~wrong], FAINT, name="right", size=1.8), Cloud(xyz[wrong], WRONG, name="wrong")]
        panels.append(Panel(f"wrong: {plain(system)}", parts, [f"{int(wrong.sum())} of {len(wrong)} points"]))
    return Picture(panels, LIQUID_ARGON, title=title)


def _f1(truth: npt.NDArray[np.integer], labels: npt.NDArray[np.integer]) -> str:
    known = truth < len(SEGMENTATION_CLASSES)
    f1 = class_scores(confusion_matrix(truth[known], labels[known], len(SEGMENTATION_CLASSES)))["f1"]
    parts = [f"{name} {value:.2f}" for name, value in zip(SEGMENTATION_CLASSES, f1, strict=True) if np.isfinite(value)]
    return "F1: " + ", ".join(parts)


def _log_energy(energy: Any) -> npt.NDArray[np.float64]:
    return np.log10(np.clip(np.asarray(energy, dtype=np.float64), 1e-2, None))
