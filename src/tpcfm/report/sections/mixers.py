"""Section "Ablations": sequence mixers at equal parameters (docs/reference/mixers.md)."""

import pandas as pd

from tpcfm.report.draw.style import Item
from tpcfm.report.tables import Markup, table
from tpcfm.report.view import View

SEES_ALL = "bidirectional"


def mixer_items(view: View, frame: pd.DataFrame) -> list[Item]:
    """Return the table of mixers: size, cost, and the validation loss of those that see as little as the base run.

    Args:
        view: the system.
        frame: metrics of the studies "ablations".
    """
    own = (frame["study"] == "ablation_pretrain") & (frame["split"] == "validation")
    rows = frame[own & (frame["class"] == "")]
    if rows.empty:
        return []
    values = rows.pivot_table(index="point", columns="metric", values="value", sort=False)
    mixers = {p: view.plan.runs[r].config["model"]["mixer"] for p, r in zip(rows["point"], rows["run"])}
    base = next((p for p in values.index if p.startswith("base")), None)
    chosen = [p for p in values.index if mixers[p] != mixers.get(base)]
    if base is None or not chosen:
        return []
    body: list[list[object]] = []
    for point in [base, *chosen]:
        mixer = mixers[point]
        found = values.loc[point]
        more = found["parameters"] / values.loc[base, "parameters"] - 1
        # The loss of a model that has its targets as inputs is another quantity: it stands in no column with the others.
        loss: object = found["validation_loss"] if mixer != SEES_ALL else Markup("not comparable")
        cells: list[object] = [f"{mixer} (base)" if point == base else mixer, int(found["parameters"])]
        cells += [
            Markup("" if point == base else f"{100 * more:+.2f} %"),
            found["flops"],
            found["targets_in_view"],
            found.get("floor_own_position"),
            loss,
        ]
        body.append(cells)
    head = ["mixer", "parameters", "against base", "training FLOPs", "targets in view", "floor: own position"]
    head.append("validation loss")
    caption = (
        "Only the mixer is changed; data, steps and targets are those of the base run. Equal: within 2 % of the parameters of Mamba-2 from "
        "m1 to m6 (Mamba-1: 8 % more). Targets in view: share of the points to "
        "predict that are input to the prediction. A bidirectional mixer sees all of them, so its pretraining loss says how well "
        "neighbours are looked up, not predicted; it is judged by the adapters alone "
        "(table above, where adapters are trained)."
    )
    return [table(view.sheet, "mixers", "Sequence mixers at equal parameters", head, body, caption, wide=True)]
