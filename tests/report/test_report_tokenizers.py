"""The tokenizer section draws the study before and after the cap, the distributions of group sizes, and throughput where measured."""

import numpy as np
import pandas as pd

from pages import demo_plan, view_of
from tpcfm.report.sections.tokenizers import tokenizer_items


def write(folder, throughput):
    rows, sizes = [], []
    for method, overlap in (("cnms", 0.6), ("cnms", 0.73), ("fps_knn", np.nan)):
        name = f"{method} f={overlap}"
        row = {"tokenizer": name, "method": method, "radius": 5.0, "overlap": overlap}
        for suffix, shift in (("_before_cap", 0.0), ("", 0.1)):
            row |= {
                f"missed{suffix}": 0.1 + shift,
                f"duplicated{suffix}": 0.2,
                f"total{suffix}": 0.3 + shift,
                f"pareto{suffix}": overlap == 0.73,
            }
        rows.append(row)
        for quantity, values in (("size_before_cap", (3, 9, 40)), ("groups_per_event", (120, 300))):
            sizes += [{"tokenizer": name, "quantity": quantity, "value": v, "count": 5} for v in values]
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "study.parquet")
    pd.DataFrame(sizes).to_parquet(folder / "group_sizes.parquet")
    if throughput:
        pd.DataFrame(
            [{"against": "points", "value": v, "method": "cnms", "events_per_second": 100 / v} for v in (1000, 5000)]
        ).to_parquet(folder / "throughput.parquet")


def test_every_figure_of_the_study(tmp_path):
    view = view_of(demo_plan(tmp_path, "polar_mae"), tmp_path)
    write(view.workspace.study("tokenizer", "polar_mae"), throughput=True)
    items = tokenizer_items(view)
    assert [i.name for i in items] == ["tokenizers", "tokenizer-sizes", "tokenizer-throughput"]
    assert "missed points (share), after the cap" in items[0].html
    assert "points per token, before the cap" in items[1].html
    assert "C-NMS + ball query, f = 0.6" in items[1].html  # the first of equals
    assert "C-NMS + ball query, f = 0.73" not in items[1].html


def test_nothing_without_a_study(tmp_path):
    assert tokenizer_items(view_of(demo_plan(tmp_path, "polar_mae"), tmp_path)) == []
