"""The ledger: every printed number has a source and a rule that metrics of this code fill; reproduced is said of the papers' own case only."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pages import demo_plan, named, view_of
from plans import planned
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import DataError
from tpcfm.evaluate import classification, tracking
from tpcfm.evaluate.selected_tracks import NAMES as SELECTED
from tpcfm.evaluate.table import metrics_frame, write_metrics
from tpcfm.files import write_json
from tpcfm.report.contents import SECTIONS
from tpcfm.report.published import fm4npp, polar_mae
from tpcfm.report.published.ledger import COLUMNS, DIFFERS, ELSEWHERE, NOT_RUN, REPRODUCED, judge, make_ledger
from tpcfm.report.published.ours import GPU_HOURS, Ours, Results, find, read_scored
from tpcfm.report.published.printed import Printed, numbers
from tpcfm.report.sections.ledger import ledger_items
from tpcfm.systems.baselines.find_tracks import choice_name
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.baselines.track_systems import TrackSystem
from tpcfm.workspace import Workspace

DETECTORS = {"polar_mae": load_detector("pilarnet"), "fm4npp": load_detector("sphenix")}


@pytest.fixture(scope="module")
def paper():
    return planned(scale="paper")


CLUSTERINGS = {}


def _clusterings(run):
    """Names of the published clusterings of a track finder."""
    block = run.block(TrackBaselineConfig)
    if block.model not in CLUSTERINGS:
        CLUSTERINGS[block.model] = [choice_name(c) for c in TrackSystem(block, DETECTORS["fm4npp"]).published]
    return CLUSTERINGS[block.model]


def rows_of(run, value):
    """Rows that the recipe of a run writes, by the names its code has, all with one value."""
    detector = DETECTORS[run.family]
    found = []
    for task in run.task.split("+"):
        common = {"run": run.id, "system": run.system, "seed": run.seed, "value": value, "task": task}
        common |= {"n_labels": run.n_labels if isinstance(run.n_labels, int) else -1, "split": "test"}
        classes = [label.names for name, label in detector.classes().items() if name == task]
        if run.task == "pretrain":
            found.append({**common, "split": "", "metric": GPU_HOURS})
        elif run.task == "probe":
            names = detector.classes()["semantic"].names
            found += [
                {**common, "task": t, "metric": "f1", "class": c}
                for t in ("probe", "probe_fifth")
                for c in ["", *names]
            ]
        elif classes:
            found += [{**common, "metric": m} for m in classification.METRICS]
            found += [{**common, "metric": m, "class": c} for m in classification.PER_CLASS for c in classes[0]]
            found.append({**common, "metric": "cross_entropy", "split": "validation"})
        elif task in detector.labels:
            given = _clusterings(run) if run.recipe == "baselines.find_tracks" else []
            names = (*tracking.METRICS, *SELECTED)
            found += [{**common, "metric": m, "class": c} for m in names for c in ["", *given]]
    return metrics_frame(found)


def filled(plan, value=0.5, only=lambda run: True):
    """Results of a plan in which every run has written its metrics."""
    results, scale = Results(plan), plan.config["scale"]
    results.__dict__["metrics"] = {
        name: rows_of(run, value(run) if callable(value) else value).assign(scale=scale)
        for name, run in plan.runs.items()
        if only(run)
    }
    return results


def test_every_number_has_a_source_and_stands_once():
    found = numbers()
    assert len(found) > 300
    assert all(n.paper and n.place and n.row and n.column and n.data for n in found)
    twice = [key for key, count in Counter((n.paper, n.place, n.row, n.column) for n in found).items() if count > 1]
    assert not twice
    assert all(bool(n.rules) != bool(n.count) for n in found)


def test_every_rule_is_filled_by_what_the_code_writes_at_the_scale_of_the_papers(paper):
    frame = make_ledger(filled(paper, only=lambda run: run.seed < 2))
    assert list(frame.columns) == list(COLUMNS)
    empty = frame[frame["status"] == NOT_RUN]
    assert empty[["place", "row", "column"]].to_numpy().tolist() == []
    nearby = frame[frame["status"] == ELSEWHERE]
    assert set(zip(nearby["place"], nearby["row"], strict=True)) == NEARBY


# The released head, which is scored without a plan; what comes nearest stands there.
NEARBY = {("replication, track finding", "m6, released head, compiled kernels, 2,000 test events")}


def test_what_was_not_run_says_what_it_would_cost(paper):
    frame = make_ledger(Results(None), paper)
    missing = frame[frame["status"] == NOT_RUN]
    assert missing["cost_gpu_hours"].notna().all()
    cost = missing.set_index(["place", "row", "column"])["cost_gpu_hours"]
    # Ten seeds of the head and the backbone it needs, so more than the backbone alone.
    assert cost["Table 2, track finding", "FM4NPP m6", "ari"] > cost["Table 1", "m6", "gpu_hours"] > 0
    assert frame.loc[frame["status"] != NOT_RUN, "scale"].eq("computed").all()


def test_the_sections_show_the_numbers_of_the_ledger():
    assert polar_mae.SEGMENTATION["PoLAr-MAE, fine-tuned"]["precision"]["delta"] == 0.402
    assert polar_mae.PROBE["Point-MAE", 100_000][""] == 0.680
    assert fm4npp.TRACKS["FM4NPP m6"] == {
        "ari": {"": 0.945},
        "efficiency": {"": pytest.approx(0.961)},
        "purity": {"": pytest.approx(0.931)},
        "parameters": {"": 2.39e6},
        "spacepoint_efficiency": {"": pytest.approx(0.9756)},
        "spacepoint_purity": {"": pytest.approx(0.9834)},
    }
    assert fm4npp.PID["GATConv"]["recall"][""] == 0.397  # macro mean: Table 2 has no such row
    assert fm4npp.ADAPTER_DEPTH[4] == {
        "parameters": 2.67e6,
        "depth/pretrained": 0.244,
        "depth/linear layer": 0.304,
        "benefit": 0.198,
    }


@pytest.mark.parametrize(
    ("text", "value", "low", "high"),
    [
        (".945(3)", 0.945, 0.945 - 1.96 * 0.003, 0.945 + 1.96 * 0.003),
        ("96.1(2)%", 0.961, 0.961 - 1.96 * 0.002, 0.961 + 1.96 * 0.002),
        (".680", 0.68, 0.6795, 0.6805),
        ("2.39M", 2.39e6, 2.385e6, 2.395e6),
        ("80h", 80.0, 79.5, 80.5),
        ("-.0010", -0.001, -0.00105, -0.00095),
    ],
)
def test_printed_numbers_keep_their_digits(text, value, low, high):
    found = Printed.read(text)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))


@pytest.mark.parametrize("text", ["", "x", "1,2", ".9+-.1", "(3)"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(DataError, match="is no printed number"):
        Printed.read(text)


def test_reproduced_is_an_overlap_of_intervals_in_the_papers_own_case():
    number = next(n for n in numbers() if (n.key, n.row, n.column) == ("track", "FM4NPP m6", "ari"))
    ours = Ours(0.930, 0.920, 0.940, exact=True, scale="paper")
    assert judge(number, ours) == REPRODUCED  # 0.939 to 0.951 is printed
    assert judge(number, replace(ours, high=0.938)) == DIFFERS
    assert judge(number, replace(ours, value=0.9385, low=np.nan, high=np.nan)) == DIFFERS
    assert judge(number, replace(ours, value=0.9395, low=np.nan, high=np.nan)) == REPRODUCED
    assert judge(number, replace(ours, scale="study")) == ELSEWHERE
    assert judge(number, replace(ours, exact=False)) == ELSEWHERE
    assert judge(number, None) == NOT_RUN


def test_differences_ratios_and_drops_are_of_equal_seeds(paper):
    def value(run):
        # Seeds differ by much more than the variants: only pairs show the difference.
        return 0.5 + 0.01 * run.seed + (0.002 if "-k1-" in run.slug else 0.0)

    results = filled(
        paper, value, only=lambda run: run.stage == "finetune" and run.task in ("pid", "track") and run.n_labels != 1000
    )
    found = {(n.key, n.row, n.column): n for n in numbers()}
    change = find(found["ablations", "k=1", "pid"], results)
    assert change is not None
    assert change.seeds == 10
    assert (change.value, change.low, change.high) == pytest.approx((0.002,) * 3)
    ratio = find(found["gain", "few labels", "ari"], results)
    assert ratio is not None
    assert ratio.value == pytest.approx(1.0)
    assert ratio.n_labels == 100


def test_at_a_smaller_scale_the_nearest_case_stands_there_and_says_so(tmp_path):
    plan = demo_plan(tmp_path)
    frame = make_ledger(filled(plan)).set_index(["place", "row", "column"])
    row = frame.loc[("Table 2, track finding", "FM4NPP m6", "ari")]
    largest = max(n for run in plan.runs.values() if run.task == "track" and isinstance(n := run.n_labels, int))
    assert row["point"] in ("m2 pretrained", "m1 pretrained")
    assert (row["status"], row["scale"], row["n_labels"]) == (ELSEWHERE, "demo", largest)
    number = next(n for n in numbers() if (n.key, n.row) == ("few_labels", "sparse U-Net"))
    found = {rule.n_labels: Results(plan).runs(number, rule) for rule in number.rules}
    counts = {wanted: {plan.runs[run].n_labels for run in runs} for wanted, runs in found.items()}
    assert counts == {100: {100}, "least": {min(r.n_labels for r in plan.runs.values() if "sparse_unet" in r.slug)}}
    assert not (frame["status"] == REPRODUCED)[frame["scale"] != "computed"].any()


def test_metrics_and_records_are_read_from_the_results_and_shown_on_the_page(tmp_path):
    plan = demo_plan(tmp_path, "fm4npp")
    workspace = Workspace(tmp_path)
    heads = [r for r in plan.runs.values() if r.task == "pid" and r.pretrained and r.stage == "finetune"]
    run = max(heads, key=lambda r: (r.n_labels, r.pretrained))
    write_metrics(workspace.metrics(run.id), rows_of(run, 0.25).to_dict("records"))
    base = plan.runs[run.pretrained]
    write_metrics(workspace.metrics(base.id), [{"run": base.id, "metric": "validation_loss", "value": 1.0}])
    write_json(workspace.record(base.id), {"seconds": 7200.0, "hardware": {"gpus": ["a", "b"]}})
    view = view_of(plan, tmp_path)
    frame = view.ledger.set_index(["place", "row", "column"])
    size = next(p.value for s in plan.studies.values() if s.name == "pretrain" for p in s.points if p.run == base.id)
    assert frame.loc[("Table 1", size, "gpu_hours"), "ours"] == 4.0
    assert frame.loc[("Table 4", "FM4NPP m6", "recall pion"), "ours"] == 0.25
    assert "ledger" in [entry.anchor for entry in SECTIONS]
    items = named(ledger_items(view))
    assert "another scale (demo)" in items["ledger-1"].html
    assert "not run here" in items["ledger-1"].html


def test_scores_of_published_weights_fill_the_ledger(tmp_path):
    folder = Workspace(tmp_path).scored("m6")
    rows = [
        {"run": "m6", "family": "fm4npp", "task": "track", "split": "test", "metric": m, "value": 0.9465}
        for m in ("ari",)
    ]
    write_metrics(folder / "metrics.parquet", rows)
    write_json(
        folder / "score.json", {"detector": "sphenix", "point": "released m6", "scale": "paper", "n_labels": "all"}
    )
    frame = make_ledger(Results(None, read_scored(Workspace(tmp_path))))
    (row,) = frame[frame["scale"] == "paper"].to_dict("records")
    assert (row["paper"], row["column"]) == ("FM4NPP/PP_collision, notes of 2026", "ari")
    assert (row["status"], row["ours"], row["point"]) == (REPRODUCED, 0.9465, "released m6")
