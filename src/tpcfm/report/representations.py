"""Section "Representations": token features as colours, confusion matrices."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tpcfm.config.plan import Plan
from tpcfm.detectors.pilarnet import SEGMENTATION_CLASSES
from tpcfm.evaluate.study import collect_studies
from tpcfm.report.displays import DETECTORS
from tpcfm.report.events import embed
from tpcfm.report.style import Item, Sheet
from tpcfm.workspace import Workspace


def token_items(plan: Plan, workspace: Workspace) -> list[Item]:
    """Return one event whose tokens are coloured by their features, a button per backbone (arXiv 2502.02558, App. D)."""
    study = plan.studies.get("probe")
    if not study:
        return []
    tables = {}
    for point in study.points:
        path = workspace.run(point.run) / "tokens.parquet"
        if path.exists() and point.value not in tables:
            tables[point.value] = pd.read_parquet(path)
    if not tables:
        return []
    outline = DETECTORS["pilarnet"].outline()
    figure, traces = go.Figure(), []
    chosen = next(iter(tables.values()))["event_id"].value_counts().index[0]
    for table in tables.values():
        tokens = table[table["event_id"] == chosen]
        rgb = (255 * tokens[["r", "g", "b"]].clip(0, 1).to_numpy()).astype(int)
        colours = [f"rgb({r},{g},{b})" for r, g, b in rgb]
        traces.append(
            go.Scatter3d(
                x=tokens["x"], y=tokens["y"], z=tokens["z"], mode="markers", marker={"size": 3.5, "color": colours}, showlegend=False
            )
        )  # fmt: skip
    figure.add_traces([*outline, *traces])
    buttons: list[dict[str, Any]] = []
    for index, name in enumerate(tables):
        flags = [True] * len(outline) + [i == index for i in range(len(tables))]
        buttons.append({"label": name, "method": "update", "args": [{"visible": flags}]})
    for trace, flag in zip(figure.data, buttons[0]["args"][0]["visible"], strict=True):
        trace.visible = flag
    row_of_buttons = {
        "type": "buttons",
        "direction": "right",
        "x": 0.005,
        "y": 1.0,
        "xanchor": "left",
        "yanchor": "bottom",
    }
    figure.update_layout(
        height=520,
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        scene={"aspectmode": "data", **{f"{a}axis": {"title": {"text": f"{a} (voxel)"}, "backgroundcolor": "white"} for a in "xyz"}},
        updatemenus=[{**row_of_buttons, "buttons": buttons}],
    )  # fmt: skip
    caption = (
        f"Tokens of event {chosen}: features of the frozen encoder, their linear dependence on position taken out, first three principal "
        "components as red, green, blue. Equal colours mean equal features; compare the pretrained encoders with random weights."
    )
    return [embed(figure, "tokens", "What the tokens encode", caption)]


def confusion_items(plan: Plan, sheet: Sheet) -> list[Item]:
    """Return confusion matrices, normalised over predictions, of the runs with most labels (arXiv 2502.02558, Fig. 18)."""
    frame = collect_studies(plan, ["finetune", "baselines"])
    frame = frame[frame["study"].isin(["segmentation", "segmentation_baselines"]) & (frame["metric"] == "confusion")]
    if frame.empty:
        return []
    frame = frame[frame["n_labels"] == frame["n_labels"].max()]
    points = list(frame["point"].unique())
    figure, grid = sheet.axes(len(points), width=2.5, height=2.7, squeeze=False)
    names = list(SEGMENTATION_CLASSES)
    for axes, point in zip(grid[0], points, strict=True):
        counts = frame[frame["point"] == point].groupby("class")["value"].sum()
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
        axes.set_title(point, fontsize=8.5)
        axes.set_xticks(range(4), names, rotation=45, fontsize=7)
        axes.set_yticks(range(4), names if axes is grid[0][0] else [""] * 4, fontsize=7)
        axes.grid(False)
    grid[0][0].set_ylabel("truth")
    caption = f"Each column sums to 1 (normalised over predictions): the diagonal is precision. {int(frame['n_labels'].max())} labelled events."
    return [sheet.finish(figure, "confusion", "Confusion of the segmentation", caption, wide=True)]
