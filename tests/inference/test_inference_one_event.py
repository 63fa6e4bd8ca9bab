"""One event of any file: prepared as the model's own cache, read with the model's detector; other detectors are refused by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from event_tables import write_table
from polar_mae_toys import toy_event
from rawfiles import collider_shard, write_tpcpp
from tpcfm.detectors.model import AffineScaling, Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import CheckpointError, DataError
from tpcfm.inference.one_event import check_detector, model_detector, open_event
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups.cache import write_part
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config
from tpcfm.workspace import Workspace

PILARNET, SPHENIX = load_detector("pilarnet"), load_detector("sphenix")


@pytest.mark.parametrize(("cache", "run"), [("groups", "polar_mae"), ("sequences", "fm4npp")])
def test_an_event_of_a_table_is_prepared_as_in_the_cache_of_the_training(
    space: Workspace, cache: str, run: str
) -> None:
    store = PreparedStore(space.cache(cache))
    tables = {"groups": space.cache("groups") / "toy.parquet", "sequences": space.cache("sequences-events.parquet")}
    table = tables[cache]
    with open_event(table, 5, space.run(run)) as (one, row):
        assert len(one) == 1
        assert one.detector == store.detector
        event = one[row]
    known = store[store.event_ids(range(len(store))).index(event["event_id"])]
    assert set(event) == set(known)
    for name in sorted(set(event) - {"neighbour"}):
        np.testing.assert_array_equal(event[name], known[name], err_msg=name)


def test_a_folder_of_a_cache_is_taken_as_it_is(space: Workspace) -> None:
    with open_event(space.cache("groups"), 4, space.run("polar_mae")) as (store, row):
        assert (store.folder, row) == (space.cache("groups"), 4)


def test_another_detector_is_refused_and_both_are_named(space: Workspace, tmp_path: Path) -> None:
    table = space.cache("sequences-events.parquet")
    both = rf"detector sphenix \({SPHENIX.hash}\); this model was trained on events of pilarnet \({PILARNET.hash}\)"
    with (
        pytest.raises(DataError, match=rf"sequences-events.parquet: {both}"),
        open_event(table, 0, space.run("polar_mae")),
    ):
        pass
    with pytest.raises(DataError, match=both), open_event(space.cache("sequences"), 0, space.run("polar_mae")):
        pass
    with pytest.raises(DataError, match=f"--detector: {both}"), open_event(table, 0, space.run("polar_mae"), SPHENIX):
        pass
    coarser = PILARNET.model_copy(update={"pitch": 2.0})
    with pytest.raises(DataError, match=rf"detector pilarnet \({coarser.hash}\); .* pilarnet \({PILARNET.hash}\)"):
        check_detector(coarser, PILARNET, "x")


def test_how_files_are_read_and_scaled_makes_no_other_detector() -> None:
    other = PILARNET.model_copy(update={"read": SPHENIX.read, "title": "x", "release": None})
    check_detector(other, PILARNET, "x")
    fitted = PILARNET.with_scaling(AffineScaling(kind="affine", offset=1.0, width=2.0))
    check_detector(PILARNET, fitted, "x")
    with pytest.raises(DataError, match=r"the signal is scaled by .*, in the training of this model by .*width=2.0"):
        check_detector(PILARNET, fitted, "x", scaling=True)


def test_a_signal_without_a_fixed_scale_is_scaled_as_in_the_training(space: Workspace, tmp_path: Path) -> None:
    """`scaling: auto` is what the training events said, not what this one event says."""
    auto = PILARNET.with_scaling("auto")
    rng = np.random.default_rng(5)
    events = [{"event_id": f"a/b/{i}", "split": ("train", "test")[i % 2], **toy_event(rng)} for i in range(4)]
    write_table(tmp_path / "auto.parquet", auto, events)
    cache, tokenizer = tmp_path / "cache", TokenizerConfig(min_points=16)
    cache.mkdir()
    write_part(tmp_path / "auto.parquet", cache / "auto.arrow", tokenizer)
    write_manifest(cache, name="auto")
    store = PreparedStore(cache)
    run = tmp_path / "run"
    shutil.copytree(space.run("polar_mae"), run)
    config = load_config(run) | {"detector": store.detector.model_dump(mode="json", exclude_defaults=True)}
    (run / "config.json").write_text(json.dumps(config))
    with open_event(tmp_path / "auto.parquet", 1, run) as (one, _):
        assert one.detector.signal_scaling() == store.detector.signal_scaling() != "auto"
    with open_event(cache, 1, run) as (one, _):
        assert one.folder == cache


def test_a_raw_file_is_read_with_the_detector_of_the_model(space: Workspace, tmp_path: Path) -> None:
    raw = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(3), events=3))
    for detector in (None, SPHENIX):
        with open_event(raw, 2, space.run("fm4npp"), detector) as (store, row):
            assert len(store) == 1
            assert store.value(row, "track") is not None
    with (
        pytest.raises(DataError, match=r"spacepoints.npz: no event 3: it has 3"),
        open_event(raw, 3, space.run("fm4npp")),
    ):
        pass
    with pytest.raises(DataError, match="read as a file of pilarnet"), open_event(raw, 0, space.run("polar_mae")):
        pass


def test_wrong_files_and_models_say_what_is_wrong(space: Workspace, tmp_path: Path) -> None:
    run, table = space.run("fm4npp"), space.cache("sequences-events.parquet")
    for file, message in ((tmp_path / "no.parquet", "no such file"), (tmp_path, "not a prepared cache")):
        with pytest.raises(DataError, match=message), open_event(file, 0, run):
            pass
    config = load_config(run)
    silent = tmp_path / "run"
    silent.mkdir()
    for changed, message in (
        ({"detector": "sphenix"}, "holds no detector .found 'sphenix'.*first edition"),
        ({"edges": None}, "does not say how its events are prepared"),
    ):
        (silent / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(CheckpointError, match=message), open_event(table, 0, silent):
            pass
    strict = load_config(space.run("polar_mae"))
    strict["tokenizer"]["min_points"] = 10_000
    (silent / "config.json").write_text(json.dumps(strict))
    events = space.cache("groups") / "toy.parquet"
    with (
        pytest.raises(DataError, match=r"event 1 cannot be used by this model: .* min_points is 10000"),
        open_event(events, 1, silent),
    ):
        pass


def test_the_detector_of_a_model_needs_no_registry(space: Workspace) -> None:
    found = model_detector(load_config(space.run("polar_mae")))
    assert isinstance(found, Detector)
    assert found.hash == PILARNET.hash
