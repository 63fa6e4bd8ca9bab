"""Label counts and splits that a dataset cannot hold are named by the plan, or by the job that merges the event tables."""

import sys
from pathlib import Path

import pytest

from plans import planned
from releases import paper_lists
from tpcfm.errors import ConfigError
from tpcfm.events.splits import label_order
from tpcfm.files import write_json
from tpcfm.plan.counts import require_events, shortages
from tpcfm.scaling.events import release_shares
from tpcfm.workspace import Workspace

SMALL = {"data": {"lartpc": {"simulate": {"files": 1, "events_per_file": 10}, "split": {"validation": 0.01}}}}
MANY = {"systems": {"fm4npp": {"tasks": {"track": {"labels": [10, 400, "all"]}}}}}


def test_the_shipped_scales_hold_what_they_ask_for(tmp_path: Path) -> None:
    for scale in (None, "tiny", "study", "h200"):
        require_events(planned(scale=scale), Workspace(tmp_path))


def test_the_plan_names_label_counts_above_the_training_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        require_events(planned(MANY), Workspace(tmp_path))
    assert "systems.fm4npp: 400 labels of track asked for" in str(caught.value)
    assert "data.collider holds 217 events" in str(caught.value)
    assert "10 labels" not in str(caught.value)


def test_the_plan_names_a_split_without_events(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.lartpc.split: the split 'validation' holds no event \(8 train, 0 v"):
        require_events(planned(SMALL), Workspace(tmp_path))


def test_what_was_counted_counts_and_nobody_guesses_about_files(tmp_path: Path) -> None:
    plan = planned(scale="paper")
    require_events(plan, Workspace(tmp_path))
    name = next(k for k, d in plan.datasets.items() if d.name == "tpcpp_labelled")
    write_json(Workspace(tmp_path).event_manifest(name), {"splits": {"train": 9999, "validation": 5, "test": 5}})
    with pytest.raises(ConfigError, match="10000 labels of noise asked for"):
        require_events(plan, Workspace(tmp_path))
    assert shortages(plan, name, {"train": 10_000, "validation": 1, "test": 1}) == []


def test_the_job_that_merges_event_tables_stops(tmp_path: Path, monkeypatch, capsys) -> None:
    from tpcfm.cli.main import main

    plan = planned({"data": {"collider": {"simulate": {"files": 1, "events_per_file": 6, "source": "gun"}}}})
    name = next(k for k, d in plan.datasets.items() if d.name == "collider")
    folder = Workspace(tmp_path).events(name)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tpcfm", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(str(caught.value.code or 0))

    run("simulate", "collider", "--events", "6", "--source", "gun", "--out", tmp_path / "spacepoints_000.npz")
    ingest = ("ingest", tmp_path / "spacepoints_000.npz", "--detector", "sphenix", "--dataset", "collider")
    assert run(*ingest, "--out", folder / "000.parquet", "--rejected", folder / "000.rejected.parquet") == 0
    collect = ("collect", "events", "--dataset", "collider", "--folder", folder, "--out", folder / "manifest.json")
    assert run(*collect, "--plan", plan.write(tmp_path)) == 2
    assert "10 labels of track asked for" in capsys.readouterr().err


def test_the_paper_takes_all_that_is_published() -> None:
    plan = planned(scale="paper")
    shares = [share for dataset in plan.datasets.values() for share in release_shares(dataset).items()]
    assert len(shares) == 6
    assert all(taken == published for _, (taken, published) in shares)
    part = planned({"data": {"pilarnet_m": {"download": ["train/generic_v2_19*_v1.h5"]}}}, "paper")
    (dataset,) = (d for d in part.datasets.values() if d.name == "pilarnet_m")
    taken, published = release_shares(dataset)["train"]
    assert 0 < taken < published == 1_199_200


def test_patterns_need_the_list_of_the_release(tmp_path: Path) -> None:
    def held(**over: object) -> dict:
        return {"data": {"pilarnet_m": {"lock": str(tmp_path / "none.json"), **over}}}

    with pytest.raises(
        ConfigError, match=r"write it with `tpcfm fetch pilarnet --list --revision v2 --lock .*none.json`"
    ):
        planned(held(revision="v2"), "paper")
    with pytest.raises(ConfigError, match=r"'val/b\*' is not in the release .*; it has files in train/, val/"):
        planned({"data": {"pilarnet_m": {"download": ["val/b*"]}}}, "paper")
    with pytest.raises(ConfigError, match="lists pilarnet v1; needed is pilarnet v3"):
        planned({"data": {"pilarnet_m": {"revision": "v3"}}}, "paper")


def test_a_release_that_changed_is_another_dataset(tmp_path: Path) -> None:
    over = paper_lists(tmp_path)
    before = planned(over, "paper").datasets
    lock = tmp_path / "pilarnet.json"
    lock.write_text(lock.read_text().replace(f"{196_200:064d}", "f" * 64))
    after = planned(over, "paper").datasets
    assert {d.name for k, d in after.items() if k not in before} == {"pilarnet_m"}


def test_all_is_every_training_event_and_holds_the_smaller_subsets() -> None:
    plan = planned(MANY)
    runs = [run for run in plan.runs.values() if run.task == "track" and run.stage == "finetune" and run.seed == 0]
    assert {run.n_labels for run in runs} >= {10, 400, "all"}
    assert [run.labels for run in sorted(runs, key=lambda run: run.labels)][-1] == float("inf")
    batch = {run.n_labels: run.train.batch_size for run in runs}
    assert batch["all"] == batch[400] == 4
    ids = [f"e/{i}" for i in range(30)]
    assert set(label_order(ids)[:10]) < set(label_order(ids))
