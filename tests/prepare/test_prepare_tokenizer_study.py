"""Guarantees of the tokenizer study: shares are what the groups hold, the front is a front, every table is written."""

import numpy as np
import pandas as pd
import pytest

import event_tables as tables
import tokenizer_twins as twins
from tpcfm.cli.tokenizer_study import command
from tpcfm.errors import DataError
from tpcfm.evaluate.table import read_metrics
from tpcfm.prepare.groups import tokenizer_study, tokenizer_throughput
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer_study import load_events, measure, pareto, share_interval


def write_table(path, counts, seed):
    events = [twins.lattice_event(n, seed + i).astype(np.int16) for i, n in enumerate(counts)]
    rows = [
        {"event_id": f"a/{seed}/{i}", "split": "train", **dict(zip("xyz", e.T)), "energy": np.ones(len(e))}
        for i, e in enumerate(events)
    ]
    tables.write_table(path, tables.PILARNET, rows)
    return events


def test_shares_before_and_after_the_cap_are_counted_from_the_members():
    events = [twins.lattice_event(n, n) for n in (150, 300)]
    radius, cap = 5.0, 5
    measured = measure(events, TokenizerConfig(radius=radius, max_points=cap))
    for at, points in enumerate(events):
        centres = twins.cnms(points, radius, 0.73)
        balls = twins.balls(points, centres, radius)
        kept = [twins.reduced(points, c, ball, cap) for c, ball in zip(centres, balls)]
        for suffix, groups in (("_before_cap", balls), ("", kept)):
            times = np.bincount(np.concatenate(groups), minlength=len(points))
            assert measured.counts[f"missed{suffix}"][at] == (times == 0).sum()
            assert measured.counts[f"duplicated{suffix}"][at] == (times >= 2).sum()
        assert measured.tokens[at] == len(centres)
    assert measured.sizes.sum() > measured.kept_sizes.sum()


def test_the_front_is_what_nothing_beats():
    values = np.array([[0.0, 3.0], [1.0, 1.0], [2.0, 1.0], [3.0, 0.0], [1.0, 1.0], [3.0, 3.0]])
    assert pareto(values).tolist() == [True, True, False, True, True, False]


def test_the_interval_holds_the_share_and_closes_when_all_events_agree():
    share, low, high = share_interval(np.array([1, 5, 3, 0, 2]), np.array([10, 12, 9, 8, 10]))
    assert share == pytest.approx(11 / 49)
    assert low < share < high
    assert share_interval(np.full(6, 2), np.full(6, 8)) == pytest.approx((0.25, 0.25, 0.25))


def test_events_come_in_equal_shares_from_the_tables(tmp_path):
    made = [write_table(tmp_path / f"{i}.parquet", (30, 40, 50), 10 * i) for i in range(2)]
    loaded = load_events([tmp_path / "0.parquet", tmp_path / "1.parquet"], 4)
    for found, expected in zip(loaded, [*made[0][:2], *made[1][:2]], strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match="no event table"):
        load_events([], 4)


@pytest.mark.parametrize("n", [10, 45, 200])
def test_an_event_of_a_size_has_that_many_distinct_points(n):
    event = tokenizer_throughput.event_of_size([twins.lattice_event(40, 1), twins.lattice_event(60, 2)], n)
    assert len(np.unique(event, axis=0)) == n


def test_the_study_writes_its_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer_throughput, "BATCH_SIZES", (1, 2))
    monkeypatch.setattr(tokenizer_throughput, "EVENT_SIZES", (100, 200))
    monkeypatch.setattr(tokenizer_throughput, "_SECONDS", 0.0)
    monkeypatch.setattr(tokenizer_study, "CENTRES_PER_POINT", (1 / 4, 1 / 16))
    write_table(tmp_path / "events.parquet", (200, 300), 0)
    config = '{"events": 2, "radii": [2.5, 5.0], "overlaps": [0.6, 0.9]}'
    command([tmp_path / "events.parquet"], tmp_path / "out", config)
    study, sizes, throughput = (
        pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("study", "group_sizes", "throughput")
    )
    assert sorted(study["method"].value_counts().to_dict().items()) == [
        ("cnms", 4),
        ("fps_ball", 4),
        ("fps_cnms", 4),
        ("fps_knn", 2),
    ]
    assert study["tokenizer"].is_unique
    assert study["pareto"].any()
    for _, row in study.iterrows():
        mine = sizes[(sizes["tokenizer"] == row["tokenizer"])]
        groups = mine[mine["quantity"] == "size"]
        assert groups["count"].sum() == row["tokens"]
        assert mine[mine["quantity"] == "groups_per_event"]["count"].sum() == 2
    by_overlap = study[(study["method"] == "cnms") & (study["radius"] == 5)].set_index("overlap")
    assert by_overlap.loc[0.6, "missed_before_cap"] <= by_overlap.loc[0.9, "missed_before_cap"]
    assert by_overlap.loc[0.6, "duplicated_before_cap"] >= by_overlap.loc[0.9, "duplicated_before_cap"]
    assert (throughput["events_per_second"] > 0).all()
    assert len(throughput) == 4 * 4
    metrics = read_metrics([tmp_path / "out" / "metrics.parquet"])
    missed = metrics[(metrics["metric"] == "missed")].set_index("class")["value"]
    np.testing.assert_allclose(missed[study["tokenizer"]], study["missed"])
