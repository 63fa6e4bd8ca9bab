"""The run table: ids depend on exactly what determines the result, equal work is done once, sources are expanded."""

import copy
from pathlib import Path

import pytest

from plans import planned, setting
from tpcfm.config.sources import expand, part_name
from tpcfm.errors import ConfigError
from tpcfm.plan.table import Plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned()


def test_changing_one_ablation_value_renames_only_what_depends_on_it(plan: Plan) -> None:
    before, after = plan, planned(setting("systems.fm4npp.ablations.k", [5]))
    gone, new = set(before.runs) - set(after.runs), set(after.runs) - set(before.runs)
    assert gone
    assert all("k1" in r or "k-1" in r for r in gone)
    assert all("k5" in r or "k-5" in r for r in new)
    assert before.caches == after.caches
    assert before.datasets == after.datasets


def test_changing_the_data_renames_everything_after_it(plan: Plan) -> None:
    after = planned(setting("data.lartpc.simulate.seed", 77))
    kept = set(plan.runs) & set(after.runs)
    assert kept
    assert {after.runs[r].family for r in kept} == {"fm4npp"}


def test_equal_work_has_one_id(plan: Plan) -> None:
    base = next(p.run for p in plan.studies["fm4npp.ablation_pretrain"].points if p.value.startswith("base"))
    assert base in plan.studies["fm4npp.scaling_size"].runs
    assert len({run.hash for run in plan.runs.values()}) == len(plan.runs)


def test_every_run_names_a_known_system_cache_dataset_and_start(plan: Plan) -> None:
    for name, run in plan.runs.items():
        assert run.id == name
        assert name.startswith(f"{run.system}-")
        assert run.family == plan.family(run.system)
        assert run.cache in plan.caches
        assert run.dataset in plan.datasets
        assert run.pretrained is None or plan.runs[run.pretrained].stage == "pretrain"
    assert set().union(*(s.runs for s in plan.studies.values())) == set(plan.runs)


def test_every_study_belongs_to_a_system(plan: Plan) -> None:
    for key, study in plan.studies.items():
        assert key == f"{study.system}.{study.name}"
        assert plan.study(study.system, study.name) is study
    assert plan.study("fm4npp", "mask_ratio") is None


def test_plan_round_trip(plan: Plan, tmp_path: Path) -> None:
    path = plan.write(tmp_path)
    assert Plan.read(path) == plan
    assert plan.write(tmp_path) == path
    with pytest.raises(ConfigError, match="no-such-run"):
        plan.run("no-such-run")


@pytest.mark.parametrize("content", ["[1, 2]", '{"runs": {}}'])
def test_a_file_that_is_no_plan_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ConfigError, match=r"other\.json: not a plan"):
        Plan.read(tmp_path / "other.json")


def test_a_run_may_be_named_by_its_beginning_if_no_other_begins_so(plan: Plan) -> None:
    beginning = "polar_mae-pretrain-polar_mae-mask0.6"
    whole = next(name for name in plan.runs if name.startswith(beginning))
    assert plan.run(beginning).id == whole
    assert plan.run(whole).id == whole
    said = r"'polar_mae-semantic': \d+ runs of this plan begin so: polar_mae-semantic-\S+, .* more"
    with pytest.raises(ConfigError, match=said):
        plan.run("polar_mae-semantic")
    with pytest.raises(ConfigError, match="not in this plan"):
        plan.run("")


def test_counted_names_and_globs(tmp_path: Path) -> None:
    for name in ("b.h5", "a.h5"):
        (tmp_path / name).touch()
    assert expand(["x_{008..010}.npz"]) == ["x_008.npz", "x_009.npz", "x_010.npz"]
    assert [Path(p).name for p in expand([f"{tmp_path}/*.h5"], must_exist="data.x.files")] == ["a.h5", "b.h5"]
    with pytest.raises(ConfigError, match=r"data\.x\.files.*nothing_\*"):
        expand([f"{tmp_path}/nothing_*"], must_exist="data.x.files")
    (tmp_path / "folder.h5").mkdir()
    assert len(expand([f"{tmp_path}/*.h5"], must_exist="data.x.files")) == 2, "a folder is no file"
    with pytest.raises(ConfigError, match=r"data\.x\.files.*folder"):
        expand([f"{tmp_path}/folder.h5"], must_exist="data.x.files")


def test_part_names_keep_the_folder_apart() -> None:
    assert part_name("labeled/train/spacepoints_003.npz") == "train-spacepoints_003"
    assert part_name("labeled/test/spacepoints.npz") != part_name("labeled/validation/spacepoints.npz")


def test_another_mixer_changes_only_the_mixer_and_gets_its_own_adapters(plan: Plan) -> None:
    # The first is the base itself.
    after = planned(setting("systems.fm4npp.ablations.mixers", ["mamba2", "mamba3", "bidirectional"]))
    assert set(plan.runs) < set(after.runs)
    assert plan.caches == after.caches
    points = {p.value: after.runs[p.run] for p in after.studies["fm4npp.ablation_pretrain"].points}
    base = next(run for name, run in points.items() if name.startswith("base"))
    for mixer in ("mamba3", "bidirectional"):
        changed = copy.deepcopy(base.config)
        changed["model"]["mixer"] = mixer
        assert points[mixer].config == changed
        adapters = [r for r in after.runs.values() if r.pretrained == points[mixer].id]
        assert {r.task for r in adapters} == {"track", "pid", "noise"}
        assert all(r.config["model"]["mixer"] == mixer for r in adapters)
    assert "mamba2" not in points


def test_a_file_more_makes_new_runs_and_leaves_the_old_ones_their_names(tmp_path: Path) -> None:
    """So nothing that was trained on the first files is overwritten; where the folder lies names nothing."""

    def ids(folder: Path) -> tuple[set[str], set[str]]:
        source = {"simulate": None, "files": [f"{folder}/*.h5"]}
        plan = planned({"systems": {"fm4npp": None}, "data": {"collider": None, "lartpc": source}})
        return set(plan.datasets), set(plan.runs)

    folder = tmp_path / "one" / "data"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.h5").write_bytes(b"x" * 10)
    datasets, runs = ids(folder)
    (folder / "c.h5").write_bytes(b"x" * 10)
    more = ids(folder)
    assert not datasets & more[0]
    assert not runs & more[1]
    (folder / "c.h5").unlink()
    assert ids(folder) == (datasets, runs)
    moved = tmp_path / "two" / "data"
    moved.parent.mkdir()
    folder.rename(moved)
    assert ids(moved) == (datasets, runs)
    (moved / "b.h5").write_bytes(b"x" * 11)
    assert not runs & ids(moved)[1], "another file of the same name"


def test_a_raised_version_renames_a_run_and_the_first_one_names_nothing(plan: Plan) -> None:
    for run in plan.runs.values():
        raised = run.model_copy(update={"version": run.version + 1})
        assert raised.hash != run.hash
        dumped = run.model_dump(exclude={"version"})
        assert (type(run).model_validate(dumped).hash == run.hash) is (run.version == 1)
