"""Paired differences: exact values, intervals that cover as stated, groups that do not match are refused, and the verb ``compare``."""

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from tpcfm.cli.compare import command
from tpcfm.errors import ConfigError, DataError
from tpcfm.evaluate.classification import ConfusionTally
from tpcfm.evaluate.event_scores import confusion_sums, hit_sums, tracking_sums, write_event_scores
from tpcfm.evaluate.paired import compare, joined_half_width
from tpcfm.evaluate.probe import probe_rows
from tpcfm.evaluate.segmentation import score_rows
from tpcfm.evaluate.table import metrics_frame, write_metrics
from tpcfm.evaluate.tracking import TrackingTally

CLASSES = ("track", "shower", "delta")


def table(run, values, *, task="segmentation", n_labels=100):
    common = {"task": task, "metric": "f1", "split": "test", "n_labels": n_labels}
    return metrics_frame({**common, "run": f"{run}-{seed}", "seed": seed, "value": v} for seed, v in values.items())


def matrices(rng, events, quality):
    """Confusion matrices of events whose points are right with a probability."""
    found = np.zeros((events, 3, 3), dtype=np.int64)
    for event in found:
        for true, points in enumerate(rng.poisson([60, 40, 4])):
            right = rng.binomial(points, quality[true])
            event[true, true] += right
            event[true, (true + 1) % 3] += points - right
    return found


def write_run(folder, run, seed, per_event, ids):
    rows = [
        {"run": run, "task": "segmentation", "split": "test", "seed": seed, "n_labels": 100, **row}
        for row in score_rows(per_event, CLASSES, resamples=5)
    ]
    (folder / run).mkdir(parents=True)
    write_metrics(folder / run / "metrics.parquet", rows)
    write_event_scores(
        folder / run / "event_scores.parquet", ids, [("segmentation", 0, confusion_sums(per_event, CLASSES))]
    )
    return metrics_frame(rows)


@pytest.fixture
def two_systems(tmp_path):
    rng = np.random.default_rng(3)
    ids = [f"d/p/{i}" for i in range(60)]
    groups = {}
    for name, quality in {"good": (0.95, 0.9, 0.8), "weak": (0.9, 0.9, 0.4)}.items():
        frames = [write_run(tmp_path, f"{name}-{s}", s, matrices(rng, 60, quality), ids) for s in range(5)]
        groups[name] = pd.concat(frames, ignore_index=True)
    events = {run: tmp_path / run / "event_scores.parquet" for g in groups.values() for run in g["run"].unique()}
    return groups["good"], groups["weak"], events


def test_seeds_alone_are_a_paired_t_test():
    a, b = {0: 0.7, 1: 0.8, 2: 0.75, 3: 0.72, 4: 0.9}, {0: 0.6, 1: 0.75, 2: 0.66, 3: 0.7, 4: 0.81}
    row = compare(table("a", a), table("b", b), test_events=250).iloc[0]
    difference = np.array([a[s] - b[s] for s in a])
    low, high = stats.t.interval(0.95, 4, loc=difference.mean(), scale=stats.sem(difference))
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((difference.mean(), low, high))
    assert (row["over"], row["verdict"], row["seeds"], row["events"], row["enough"]) == ("seeds", "above", 5, 250, True)
    assert not compare(table("a", a), table("b", b)).iloc[0]["enough"]
    assert compare(table("b", b), table("a", a)).iloc[0]["verdict"] == "below"


def test_zero_inside_and_one_seed():
    row = compare(table("a", {0: 0.5, 1: 0.7}), table("b", {0: 0.6, 1: 0.6})).iloc[0]
    assert (row["verdict"], row["difference"]) == ("zero inside", pytest.approx(0))
    row = compare(table("a", {0: 0.5}), table("b", {0: 0.1})).iloc[0]
    assert (row["verdict"], row["over"]) == ("no interval", "nothing")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: table("b", {0: 0.1, 2: 0.2}), r"seeds \[0, 1\] against \[0, 2\]"),
        (lambda: pd.concat([table("b", {0: 0.1, 1: 0.2}), table("c", {0: 0.1, 1: 0.2})]), "several runs"),
        (lambda: table("b", {0: 0.1, 1: 0.2}, n_labels=10), "no task and label count in common"),
        (lambda: table("b", {0: 0.1, 1: 0.2}).assign(metric="validation_loss"), "need both"),
    ],
)
def test_groups_that_do_not_match_are_refused(second, message):
    with pytest.raises(DataError, match=message):
        compare(table("a", {0: 0.5, 1: 0.6}), second())


def test_only_common_seeds_if_asked():
    found = compare(table("a", {0: 0.5, 1: 0.7, 2: 0.9}), table("b", {1: 0.6, 2: 0.6, 7: 0.0}), common_seeds=True).iloc[
        0
    ]
    assert (found["seeds"], found["difference"]) == (2, pytest.approx(0.2))
    with pytest.raises(DataError, match="no task and label count in common"):
        compare(table("a", {0: 0.5}), table("b", {1: 0.6}), common_seeds=True)


def test_label_counts_are_compared_each_with_its_own():
    a = pd.concat([table("a", {0: 0.5, 1: 0.6}), table("a1", {0: 0.7, 1: 0.8}, n_labels=1000)])
    b = pd.concat(
        [table("b", {0: 0.4, 1: 0.5}), table("b1", {0: 0.5, 1: 0.6}, n_labels=1000), table("b2", {0: 1.0}, n_labels=9)]
    )
    found = compare(a, b).set_index("n_labels")["difference"]
    assert found.to_dict() == pytest.approx({100: 0.1, 1000: 0.2})


def test_scores_per_event_give_the_scores_of_the_tables(two_systems):
    first, second, events = two_systems
    found = compare(first, second, events=events).set_index(["metric", "class"])
    plain = compare(first, second).set_index(["metric", "class"])
    assert set(found["over"]) == {"seeds and events"}
    assert set(found["events"]) == {60}
    assert not found["enough"].any()
    for column in ("first", "second", "difference"):
        assert found[column].to_dict() == pytest.approx(plain[column].to_dict())
    assert found.loc[("f1", "delta"), "verdict"] == "above"
    assert found.loc[("recall", "shower"), "verdict"] == "zero inside"
    assert found.loc[("f1", ""), "difference"] == pytest.approx(found.loc["f1"].drop("")["difference"].mean())
    for _, row in found.iterrows():  # both errors together are wider than either alone
        assert row["low"] <= row["low_seeds"] or row["high"] - row["low"] > row["high_events"] - row["low_events"]


def test_other_events_or_other_runs_are_refused(two_systems, tmp_path):
    first, second, events = two_systems
    rng = np.random.default_rng(0)
    wrong = tmp_path / "wrong.parquet"
    sums = confusion_sums(matrices(rng, 60, (0.9, 0.9, 0.9)), CLASSES)
    write_event_scores(wrong, [f"d/p/{i}" for i in range(60)], [("segmentation", 0, sums)])
    with pytest.raises(DataError, match="not of the same runs"):
        compare(first, second, events={**events, "good-0": wrong})
    for run in ("good-0", "good-1", "good-2", "good-3", "good-4"):
        write_event_scores(events[run], [f"d/q/{i}" for i in range(60)], [("segmentation", 0, sums)])
    with pytest.raises(DataError, match="of which 0 are the same"):
        compare(first, second, events=events)
    with pytest.raises(DataError, match="there are 59 events"):
        write_event_scores(wrong, [f"d/p/{i}" for i in range(59)], [("segmentation", 0, sums)])


def test_repetitions_of_a_probe_take_the_place_of_seeds(tmp_path):
    rng = np.random.default_rng(1)
    ids = [f"d/p/{i}" for i in range(30)]
    frames, events = [], {}
    for name, hit in (("pretrained", 9), ("random", 5)):
        counts = [np.stack([rng.poisson([hit, 2, 3], (30, 3)) for _ in range(2)], axis=1) for _ in range(4)]
        rows = [
            {"run": name, "task": "probe", "split": "test", **row}
            for row in probe_rows(counts, CLASSES[:2], resamples=5)
        ]
        events[name] = tmp_path / f"{name}.parquet"
        write_event_scores(events[name], ids, [("probe", k, hit_sums(c, CLASSES[:2])) for k, c in enumerate(counts)])
        frames.append(metrics_frame(rows))
    found = compare(*frames, events=events).set_index("class")
    assert (found["seeds"] == 4).all()
    assert (found["verdict"] == "above").all()
    assert found.loc["track", "first"] == pytest.approx(frames[0].set_index("class").loc["track", "value"])


def test_sums_of_the_tallies_are_their_metrics():
    rng = np.random.default_rng(2)
    tally, tracks = ConfusionTally(CLASSES), TrackingTally()
    for _ in range(20):
        truth = rng.integers(3, size=50)
        tally.update(truth, np.where(rng.random(50) < 0.7, truth, rng.integers(3, size=50)))
        tracks.update(truth, np.where(rng.random(50) < 0.9, truth, -1))
    pooled = {key: value.sum(0)[0] / value.sum(0)[1] for key, value in tally.sums().items()}
    assert pooled["accuracy", ""] == pytest.approx(tally.values()["accuracy"])
    for row in tally.per_class().to_dict("records"):
        for metric in ("f1", "precision", "recall", "iou"):
            assert pooled[metric, row["class"]] == pytest.approx(row[metric])
    found = {key[0]: value.sum(0)[0] / value.sum(0)[1] for key, value in tracking_sums(tracks.table).items()}
    assert found == pytest.approx({name: tracks.values()[name] for name in found})


def test_joined_interval_covers_and_a_bootstrap_over_five_seeds_does_not():
    """Differences = seed effect + event effect + rest, five seeds, 40 events: 95 % hold the true difference."""
    rng = np.random.default_rng(5)
    joined = nested = 0
    trials = 400
    for _ in range(trials):
        values = rng.normal(0, 0.3, (5, 1)) + rng.normal(0, 1.0, (1, 40)) + rng.normal(0, 0.5, (5, 40))
        mean = values.mean()
        error = values.mean(1).std(ddof=1) / np.sqrt(5)
        half = joined_half_width((error, 5), (values.mean(0).std(ddof=1) / np.sqrt(40), 40))
        joined += abs(mean) < half
        drawn = [values[rng.integers(0, 5, 5)][:, rng.integers(0, 40, 40)].mean() for _ in range(200)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        nested += low < 0 < high
    assert 0.93 < joined / trials < 0.995
    assert nested < joined


def test_verb_writes_every_format(two_systems, tmp_path):
    tables = [
        str(tmp_path / run / "metrics.parquet") for run in [f"{n}-{s}" for n in ("good", "weak") for s in range(5)]
    ]
    names = ["|".join(f"{n}-{s}" for s in range(5)) for n in ("good", "weak")]
    words = [*tables, "--first", f"run={names[0]},metric=f1", "--second", f"run={names[1]}"]
    app = typer.Typer()
    app.command()(command)
    for suffix, read in ((".parquet", pd.read_parquet), (".csv", pd.read_csv)):
        out = tmp_path / f"table{suffix}"
        result = CliRunner().invoke(app, [*words, "--out", str(out)])
        assert result.exit_code == 0, result.output
        frame = read(out)
        assert set(frame["metric"]) == {"f1"}
        assert set(frame["events"]) == {60}
    result = CliRunner().invoke(app, words)
    assert "| segmentation | f1 | delta | 100 |" in result.output
    result = CliRunner().invoke(app, [*words[:-1], "point=x"])
    assert isinstance(result.exception, ConfigError)
    assert "is not column=value" in str(result.exception)


def test_a_score_that_only_newer_runs_have_is_left_out_and_the_others_stand(two_systems):
    good, weak, events = two_systems
    whole = compare(good, weak, events=events).set_index(["metric", "class"])
    path = events["weak-3"]
    frame = pd.read_parquet(path)
    frame[frame["metric"] != "iou"].to_parquet(path)  # as if made before there was this score
    weak = weak[(weak["run"] != "weak-3") | (weak["metric"] != "iou")]
    found = compare(good, weak, events=events).set_index(["metric", "class"])
    assert "iou" in whole.index.get_level_values(0)
    assert "iou" not in found.index.get_level_values(0)
    pd.testing.assert_frame_equal(found, whole.drop("iou", level="metric"))
