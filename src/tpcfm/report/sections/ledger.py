"""Section "Ledger": every number that the papers print, with ours, the difference, and whether it is reproduced."""

from typing import Any

import pandas as pd

from tpcfm.report.draw.style import Item
from tpcfm.report.published.ledger import ELSEWHERE, NOT_RUN, STATES
from tpcfm.report.published.printed import OTHERS
from tpcfm.report.tables import Markup, number, table, with_interval
from tpcfm.report.view import View

HEADS = {"replication": "replication", "panda_v2": "Panda V2"}
RULE = (
    "Reproduced: the interval of the printed number (95 % of its printed error, at least half a unit of its last digit) meets ours (95 % over "
    "seeds, of one seed over test events), and the run is the paper's own case at the scale of the paper. Parameter counts are computed."
)


def ledger_items(view: View) -> list[Item]:
    """Return how many numbers of each table have which status, and for each paper all of them."""
    frame = view.ledger
    body: list[list[object]] = []
    for (paper, place), rows in frame.groupby(["paper", "place"], sort=False):
        counts = rows["status"].value_counts()
        body.append([f"{paper}, {place}", len(rows), *(int(counts.get(state, 0)) for state in STATES)])
    body.append(["all", len(frame), *(int((frame["status"] == state).sum()) for state in STATES)])
    head = ["printed in", "numbers", *STATES]
    items = [
        table(view.sheet, "ledger-summary", "Printed numbers and what became of them", head, body, RULE, wide=True)
    ]
    return [
        *items,
        *(
            _paper(view, str(paper), rows, place)
            for place, (paper, rows) in enumerate(frame.groupby("paper", sort=False))
        ),
    ]


def _paper(view: View, paper: str, rows: pd.DataFrame, place: int) -> Item:
    others = [name for name in OTHERS if rows[name].notna().any()]
    body = [_line(row, others) for row in rows.to_dict("records")]
    notes = [f"{where}: {note}." for (where, note), _ in rows[rows["note"] != ""].groupby(["row", "note"], sort=False)]
    caption = (
        "Shares, counts, ratios or GPU-hours (one H100, by estimate, pretraining included, for what was not run). All columns, the intervals of "
        f"the printed numbers and the runs are in ledger.parquet beside this page. {' '.join(notes)}"
    )
    head = [
        "printed in",
        "row",
        "column",
        "paper",
        *(HEADS[name] for name in others),
        "ours",
        "difference",
        "ours is",
        "status",
    ]
    return table(view.sheet, f"ledger-{place + 1}", paper, head, body, caption, wide=True)


def _line(row: dict[Any, Any], others: list[str]) -> list[object]:
    known = row["status"] != NOT_RUN
    digits = 0 if row["unit"] == "parameters" else 4
    ours = Markup(with_interval(row["ours"], row["low"], row["high"], digits)) if known else None
    labels = f", {row['n_labels']} labels" if row["n_labels"] > 0 else ""
    seeds = f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
    status = str(row["status"])
    if status == NOT_RUN and row["cost_gpu_hours"] == row["cost_gpu_hours"]:
        status += f" (cost: {number(row['cost_gpu_hours'], 1)} GPU-hours)"
    elif status == ELSEWHERE:
        status += f" ({row['scale']})"
    cells = [Markup(number(row["published"], digits)), *(row[name] for name in others), ours]
    cells.append(Markup(number(row["difference"], digits)) if known else None)
    return [row["place"], row["row"], row["column"], *cells, f"{row['point']}{labels}{seeds}", status]
