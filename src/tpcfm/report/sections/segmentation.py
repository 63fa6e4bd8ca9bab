"""Section "Few labels: segmentation": F1 and precision against label count, and the full table of scores beside the paper's."""

import pandas as pd

from tpcfm.evaluate.event_scores import CALIBRATED
from tpcfm.evaluate.study import collect_studies
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import MUTED, Item, Sheet
from tpcfm.report.names import plain
from tpcfm.report.published import numbers as published
from tpcfm.report.sections.labels import label_curves, mean_over_seeds
from tpcfm.report.tables import Markup, share_with_interval, table

CLASSES = ("mean", "track", "shower", "delta", "Michel")
METRICS = {"f1": "F1", "precision": "precision", "recall": "recall", "iou": "IoU"}


def segmentation_items(plan: Plan, sheet: Sheet) -> list[Item]:
    """Return curves and tables of the segmentation of liquid-argon events."""
    frame = collect_studies(plan, ["finetune", "baselines"])
    frame = frame[frame["study"].isin(["segmentation", "segmentation_baselines"]) & (frame["split"] == "test")]
    if frame.empty:
        return []
    frame = frame.assign(**{"class": frame["class"].replace("", "mean")})
    return [
        _figure(frame, sheet, "f1", "labels-polar_mae", "Segmentation F1 against labelled events"),
        _figure(frame, sheet, "precision", "precision-polar_mae", "Segmentation precision against labelled events"),
        *(_table(frame, metric) for metric in METRICS if metric in set(frame["metric"])),
        *_gain(frame),
    ]


def _figure(frame: pd.DataFrame, sheet: Sheet, metric: str, name: str, title: str) -> Item:
    """Draw a metric per class against the label count, supervised U-Net included (arXiv 2502.02558, Fig. 5)."""
    rows = frame[frame["metric"] == metric]
    figure, grid = sheet.axes(3, 2, width=3.5, height=2.7)
    for axes, label in zip(grid.flat, CLASSES, strict=False):
        chosen = rows[rows["class"] == label]
        if len(chosen):
            label_curves(axes, mean_over_seeds(chosen))
        marks = published.PRECISION_100.items() if metric == "precision" else []
        for symbol, (system, values) in zip("x+", marks, strict=False):
            if label in values:
                axes.plot([100], [values[label]], symbol, color=MUTED, label=f"{system} (paper, {published.DATA_2502})")
        axes.set_ylabel(f"{label} {METRICS[metric]}")
        axes.set_ylim(0, 1.02)
    # The panel with most entries: some have published points, some none.
    handles, labels = max((a.get_legend_handles_labels() for a in grid.flat), key=lambda pair: len(pair[1]))
    grid.flat[-1].axis("off")
    grid.flat[-1].legend(handles, [plain(label) for label in labels], loc="center")
    caption = (
        "Frozen: only the head is trained (PEFT); fine-tuned: all weights; random weights, frozen: the head alone learns; from scratch: the same "
        "network, nothing pretrained; sparse U-Net: supervised baseline on the same labelled events. Bands: 95 % over seeds, where there are several."
    )
    if metric == "precision":
        caption += " Crosses: the precisions at 100 labelled events that the text of arXiv 2502.02558 gives (Fig. 5 prints no numbers)."
    return sheet.finish(figure, name, title, caption, wide=True)


def _table(frame: pd.DataFrame, metric: str) -> Item:
    """Return one metric, mean and per class, for every system, decision weights as trained and tuned, beside Table 7."""
    found: dict[tuple[str, int, str], list[object]] = {}
    for suffix, note in (("", ""), (CALIBRATED, ", decision weights tuned")):
        rows = frame[frame["metric"] == metric + suffix]
        means = {c: mean_over_seeds(rows[rows["class"] == c]).set_index(["point", "n_labels"]) for c in CLASSES}
        for key in means["mean"].index:
            values = [means[c].loc[key] if key in means[c].index else None for c in CLASSES]
            cells = [
                None if v is None else Markup(share_with_interval(v["value"], v["low"], v["high"])) for v in values
            ]
            found[str(key[0]), int(key[1]), note] = [f"{plain(str(key[0]))}{note} (here)", int(key[1]), *cells]
    systems = list(dict.fromkeys(point for point, _, _ in found))
    body = [found[key] for key in sorted(found, key=lambda k: (systems.index(k[0]), k[1], k[2]))]
    for (start, mode), scores in published.SEGMENTATION.items():
        if metric in scores:
            row: list[object] = [f"{plain(f'{start}/{mode}')} (paper, {published.DATA_2502})", 10_000]
            body.append(row + [scores[metric][c] for c in CLASSES])
    name = METRICS[metric]
    caption = (
        f"{name[0].upper()}{name[1:]} over all points of the held-out test events, mean over seeds with 95 % interval where there are several. Second row: "
        "the same networks with one offset per class on the log-probabilities, chosen on validation events. Frozen: PEFT. Here: the dataset named under "
        f"Data. Paper: arXiv 2502.02558, Table 7, {published.DATA_2502}, 10,000 labelled events"
        + ("; no IoU given." if metric == "iou" else ".")
    )
    name = "table-segmentation" if metric == "f1" else f"table-segmentation-{metric}"
    title = f"Segmentation: {METRICS[metric]}"
    return table(name, title, ["network", "labelled events", *CLASSES], body, caption, wide=True)


def _gain(frame: pd.DataFrame) -> list[Item]:
    """Return what tuned decision weights change, run by run: F1 after minus before."""
    keys = ["point", "n_labels", "run", "class"]
    trained, tuned = (frame[frame["metric"] == m].set_index(keys)["value"] for m in ("f1", "f1" + CALIBRATED))
    if tuned.empty:
        return []
    change = (tuned - trained).dropna().rename("value").reset_index()
    body: list[list[object]] = []
    for key, rows in change.groupby(["point", "n_labels"], sort=False):
        cells: list[object] = []
        for label in CLASSES:
            of_class = mean_over_seeds(rows[rows["class"] == label])
            cells.append(
                None if of_class.empty else Markup(share_with_interval(*of_class.iloc[0][["value", "low", "high"]]))
            )
        body.append([plain(str(key[0])), int(rows["n_labels"].iloc[0]), *cells])
    caption = (
        "F1 with tuned decision weights minus F1 as trained, the same networks and test events; 95 % over seeds. Class weights of the focal loss "
        "favour rare classes at the cost of their precision; this is what taking that back gains or loses."
    )
    head = ["network", "labelled events", *CLASSES]
    return [table("calibration", "What tuned decision weights change", head, body, caption, wide=True)]
