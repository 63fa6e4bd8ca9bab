"""Section "Representations": token features as colours, attention, reconstruction, confusion matrices."""

from pathlib import Path

import numpy as np
import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.evaluate.study import collect_studies
from tpcfm.plan.pictures import polar_mae_pictures
from tpcfm.plan.table import Plan
from tpcfm.report.detectors import detector_of_dataset
from tpcfm.report.draw.embed import show_picture
from tpcfm.report.draw.networks import attention_picture, feature_picture, reconstruction_picture
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.names import STARTS, plain
from tpcfm.workspace import Workspace


def token_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return tokens of one event coloured by their features, one panel per encoder (arXiv 2502.02558, App. D)."""
    study = plan.studies.get("probe")
    tables: dict[str, pd.DataFrame] = {}
    if study is None:
        return []
    for point in study.points:
        path = workspace.run(point.run) / "tokens.parquet"
        if path.exists() and point.value not in tables:
            tables[point.value] = pd.read_parquet(path)
    if not tables:
        return []
    chosen = next(iter(tables.values()))["event_id"].value_counts().index[0]
    order = sorted(tables, key=lambda name: list(STARTS).index(name) if name in STARTS else len(STARTS))
    shown = {name: tables[name][tables[name]["event_id"] == chosen] for name in order}
    picture = feature_picture(shown, detector_of_dataset(plan, plan.runs[study.points[0].run].dataset))
    caption = (
        f"Event {chosen}. Tokens of the frozen encoder; what a linear map of the position explains is removed, the first three principal "
        "components are red, green and blue. Equal colours mean equal features; compare the pretrained encoders with random weights."
    )
    return [show_picture(sheet, picture, "tokens", "What the tokens encode", caption)]


def attention_items(folder: Path, detector: Detector, sheet: Sheet) -> list[Item]:
    """Return the attention of one token per class, a menu of layers and heads: PoLAr-MAE, or Point-MAE without it (Fig. 9)."""
    if not (folder / "attention.parquet").exists():
        return []
    tokens, attention = (
        pd.read_parquet(folder / "attention_tokens.parquet"),
        pd.read_parquet(folder / "attention.parquet"),
    )
    items = []
    for start in sorted(
        attention["start"].unique(), key=lambda name: -(list(STARTS).index(name) if name in STARTS else 0)
    )[:1]:
        picture = attention_picture(tokens, attention[attention["start"] == start], detector)
        caption = (
            f"Event {tokens['event_id'].iloc[0]}, encoder of {plain(start)}, nothing masked. 1 is what even attention to all "
            f"{len(tokens)} tokens would give. The menu holds every layer and head; {picture.first} has most contrast."
        )
        items.append(show_picture(sheet, picture, f"attention-{start}", "Where a token looks", caption))
    return items


def reconstruction_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return one validation event as each masked autoencoder sees and completes it."""
    pictures = polar_mae_pictures(plan)
    items = []
    for start, run in pictures.pretrained.items() if pictures else []:
        path = workspace.run(run) / "reconstruction.parquet"
        if not path.exists():
            continue
        frame = pd.read_parquet(path)
        event = frame.iloc[int(frame["masked_x"].map(len).argmax())]
        caption = (
            f"Validation event {event['event_id']}, run {run}. Grey: visible points. Of each masked group as many predicted points are "
            "drawn as it has true ones; a point in several groups is drawn several times."
        )
        title = f"Masked groups, completed by {plain(start)}"
        columns = {str(name): value for name, value in event.items()}
        picture = reconstruction_picture(columns, detector_of_dataset(plan, plan.runs[run].dataset))
        items.append(show_picture(sheet, picture, f"reconstruction-{start}", title, caption))
    return items


def confusion_items(plan: Plan, sheet: Sheet) -> list[Item]:
    """Return confusion matrices, normalised over predictions, of the runs with most labels (arXiv 2502.02558, Fig. 18)."""
    frame = collect_studies(plan, ["finetune", "baselines"])
    frame = frame[frame["study"].isin(["segmentation", "segmentation_baselines"]) & (frame["metric"] == "confusion")]
    if frame.empty:
        return []
    frame = frame[frame["n_labels"] == frame["n_labels"].max()]
    points = list(frame["point"].unique())
    columns = min(4, len(points))
    figure, grid = sheet.axes(columns, -(-len(points) // columns), width=2.6, height=2.8, squeeze=False)
    for axes in grid.flat[len(points) :]:
        axes.axis("off")
    for index, (axes, point) in enumerate(zip(grid.flat, points, strict=False)):
        rows = frame[frame["point"] == point]
        counts = rows.groupby("class", sort=False)["value"].sum()
        names = list(dict.fromkeys(name.split(">")[0] for name in counts.index))
        matrix = np.array([[counts.get(f"{t}>{p}", 0.0) for p in names] for t in names])
        share = matrix / np.maximum(matrix.sum(0, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(share):
            axes.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value > 0.6 else "black",
            )
        axes.set_title(plain(point), fontsize=8.5)
        axes.set_xticks(range(len(names)), names, rotation=45, fontsize=7)
        axes.set_yticks(range(len(names)), [""] * len(names) if index % columns else names, fontsize=7)
        axes.set_xlabel("prediction", fontsize=8)
        if index % columns == 0:
            axes.set_ylabel("truth", fontsize=8)
        axes.grid(False)
    caption = (
        "Share of the points predicted as a class that belong to each true class: columns sum to 1 (normalised over predictions), the diagonal is "
        f"precision; a column of zeros was never predicted. {int(frame['n_labels'].max())} labelled events, decisions as trained, points of all seeds "
        "together (arXiv 2502.02558, Fig. 18)."
    )
    return [sheet.finish(figure, "confusion", "Confusion of the segmentation", caption, wide=True)]
