"""Systems are keys: several of one family, each on its dataset; starts, tasks and detectors that do not exist are named."""

from pathlib import Path
from typing import Any

import pytest

from plans import planned, setting, values
from tpcfm.config.text import merge
from tpcfm.errors import ConfigError
from tpcfm.plan.table import Plan
from tpcfm.systems.registry import make_plan, validate

LABELLED = {"labels": [4], "train": {"steps": 3, "batch_size": 2}}
TINY = {"simulate": {"files": 1, "events_per_file": 8}}


def block(system: str, **over: Any) -> dict[str, Any]:
    """Settings of a system of the tiny scale, changed."""
    found: dict[str, Any] = merge(values(scale="tiny")["systems"][system], over)
    return found


def second(family: str, **over: Any) -> dict[str, Any]:
    """The tiny scale with a second system of a family on a dataset of its own: other events of the same detector."""
    detector = {"polar_mae": "pilarnet", "fm4npp": "sphenix"}[family]
    mine = block(family, dataset="mine", pretrain_dataset=None, **over)
    return {"data": {"mine": {"detector": detector, **TINY}}, "systems": {"second": mine}}


def pretrained(plan: Plan, system: str) -> list[Any]:
    return [run for run in plan.runs.values() if run.system == system and run.stage == "pretrain"]


@pytest.mark.parametrize("family", ["polar_mae", "fm4npp"])
def test_a_second_system_of_a_family_has_its_own_dataset_caches_runs_and_studies(family: str) -> None:
    alone, both = planned(scale="tiny"), planned(second(family), "tiny")
    assert set(alone.runs) < set(both.runs)
    assert set(alone.studies) < set(both.studies)
    new = [run for name, run in both.runs.items() if name not in alone.runs]
    assert {run.system for run in new} == {"second"}
    assert {both.datasets[run.dataset].name for run in new} == {"mine"}
    assert {run.cache for run in new}.isdisjoint({run.cache for run in alone.runs.values()})
    assert all(run.id.startswith("second-") for run in new)
    own, other = ({s.name for s in both.studies.values() if s.system == key} for key in ("second", family))
    assert own == other
    assert both.systems(family) == [family, "second"]


@pytest.mark.parametrize("first", [True, False], ids=["above", "below"])
@pytest.mark.parametrize("family", ["polar_mae", "fm4npp"])
def test_a_system_starts_from_the_weights_of_another_wherever_it_stands(family: str, first: bool) -> None:
    # Ablations of the architecture have no weights to start from.
    fewer: dict[str, Any] = {"ablations": {"mixers": []}, "mup_study": None} if family == "fm4npp" else {}
    over = second(family, start=family, **fewer)
    config = values(scale="tiny")
    systems = [("second", over["systems"]["second"]), *config["systems"].items()]
    config = {
        **merge(config, {"data": over["data"]}),
        "systems": dict(systems if first else [*systems[1:], systems[0]]),
    }
    plan = make_plan(validate(config))
    begun = pretrained(plan, "second")
    assert begun
    starts = {run.pretrained for run in begun}
    assert None not in starts
    for start in starts:
        assert plan.runs[str(start)].system == family
        assert plan.runs[str(start)].stage == "pretrain"
    bare = planned(second(family, **fewer), "tiny")
    assert not {run.id for run in begun} & set(bare.runs), "another start is other work"
    assert set(planned(scale="tiny").runs) <= set(plan.runs)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (
            setting("systems.fm4npp.start", "nobody"),
            r"systems\.fm4npp\.start: 'nobody' is no other system of the family fm4npp",
        ),
        (
            setting("systems.fm4npp.start", "fm4npp"),
            r"systems\.fm4npp\.start: 'fm4npp' is no other system .* none is there",
        ),
        (setting("systems.fm4npp.start", "polar_mae"), r"'polar_mae' is no other system of the family fm4npp"),
        (
            second("fm4npp", start="fm4npp", sizes=["m1", "m3"]),
            r"systems\.second\.start: fm4npp pretrains no 'm3'; there are: m1, m2",
        ),
        (
            second("polar_mae", start="polar_mae", objectives=["point_mae"]),
            r"systems\.second\.start: polar_mae pretrains no 'point_mae'; there are: polar_mae",
        ),
        (
            second("polar_mae", start="polar_mae", model={"width": 48}),
            r"systems\.second\.start: the weights of polar_mae .* another architecture: width 24 there, 48 here",
        ),
        (
            second("fm4npp", start="fm4npp"),
            r"systems\.second\.start: the weights of fm4npp \(m1\) .*: parameterization 'mup' there, 'standard' here",
        ),
        (
            merge(second("polar_mae", start="polar_mae"), setting("systems.polar_mae.start", "second")),
            r"start: polar_mae from second from polar_mae is a circle",
        ),
    ],
)
def test_a_start_that_cannot_be_is_named(over: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(over, "tiny")


def test_dropout_may_differ_from_that_of_the_start() -> None:
    plan = planned(second("polar_mae", start="polar_mae", model={"drop_path": 0.5}), "tiny")
    assert all(run.pretrained for run in pretrained(plan, "second"))


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (
            setting("systems.fm4npp.tasks.energy", LABELLED),
            "systems.fm4npp.tasks: the detector 'sphenix' of data.collider has no label 'energy'; there are: track, pid, noise",
        ),
        (
            setting("systems.polar_mae.tasks.track", LABELLED),
            "systems.polar_mae.tasks: the detector 'pilarnet' of data.lartpc has no label 'track'; there are: fragment, group",
        ),
        (
            setting("systems.fm4npp.baselines.instances.tasks.pid", LABELLED),
            "systems.fm4npp.baselines.instances.tasks: the detector 'sphenix' of data.collider has no label with instances 'pid'",
        ),
        (
            setting("systems.fm4npp.baselines.classes.tasks.track", LABELLED),
            "systems.fm4npp.baselines.classes.tasks: the detector 'sphenix' of data.collider has no label with classes 'track'",
        ),
        (
            setting("systems.polar_mae.baselines.sparse_unet.tasks.group", LABELLED),
            "systems.polar_mae.baselines.sparse_unet.tasks: the detector 'pilarnet' of data.lartpc has no label with classes 'group'",
        ),
        (
            setting("systems.polar_mae.probe.label", "group"),
            "systems.polar_mae.probe.label: the detector 'pilarnet' of data.lartpc has no label with classes 'group'",
        ),
        (
            setting("systems.fm4npp.adapters.depth.task", "track"),
            "systems.fm4npp.adapters.depth.task: the detector 'sphenix' of data.collider has no label with classes 'track'",
        ),
        (
            setting("systems.fm4npp.adapters.joint.weights", {"pid": 1.0, "track": 1.0}),
            "systems.fm4npp.adapters.joint.weights: the detector 'sphenix' of data.collider has no label with classes 'track'",
        ),
        (
            setting("data.collider.detector", "atlas"),
            "data.collider.detector: detector 'atlas': unknown; there are pilarnet",
        ),
        (setting("data.collider.detector", "nowhere.yaml"), "data.collider.detector: nowhere.yaml: no such file"),
        (
            setting("systems.fm4npp.adapters.width", 66),
            "systems.fm4npp: settings that do not go together:\n  width (66)",
        ),
    ],
)
def test_a_label_or_detector_that_is_not_there_is_named_with_what_is(over: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        planned(over, "tiny")
    assert said in str(error.value)


@pytest.mark.parametrize("origin", ["simulate", "download"])
def test_a_detector_of_ones_own_has_neither_simulation_nor_release(origin: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "{name: mine, pitch: 1.0, volume: {shape: box, x: [0, 1], y: [0, 1], z: [0, 1]}}"
    )
    over = {"detector": str(tmp_path / "mine.yaml"), "simulate": None}
    over[origin] = TINY["simulate"] if origin == "simulate" else ["a.h5"]  # type: ignore[assignment]
    what = {"simulate": "simulation", "download": "public release"}[origin]
    with pytest.raises(
        ConfigError, match=rf"data\.lartpc\.{origin}: there is no {what} of the detector 'mine'; give files"
    ):
        planned({"data": {"lartpc": over}})


def test_every_label_of_a_detector_is_a_task_of_every_family() -> None:
    """Classes and instances of both detectors; the plan tells the jobs how many classes there are."""
    lartpc, collider = (
        dict.fromkeys(names, LABELLED) for names in (("semantic", "pid", "group"), ("track", "pid", "noise"))
    )
    plan = planned(
        {
            "systems": {
                "polar_mae": {"tasks": lartpc},
                "polar_collider": block("polar_mae", dataset="collider", tasks={**collider, "semantic": None})
                | {"baselines": {}},
                "fm4npp_lartpc": block(
                    "fm4npp", dataset="lartpc", pretrain_dataset=None, tasks={**lartpc, "track": None, "noise": None}
                )
                | {"baselines": {}, "adapters": {"sizes": ["m1"]}},
            }
        },
        "tiny",
    )
    classes = {"semantic": 4, "pid": 6, "group": 0, "interaction": 0}
    for system in ("polar_mae", "fm4npp_lartpc"):
        for task in lartpc:
            study = plan.study(system, f"heads_{task}")
            assert study is not None
            config = plan.runs[study.runs[0]].config
            assert config.get("classes", config.get("outputs", {}).get(task)) == classes[task]
    assert {s.name for s in plan.studies.values() if s.system == "polar_collider"} >= {f"heads_{t}" for t in collider}
    study = plan.study("fm4npp_lartpc", "heads_group")
    assert study is not None
    assert {plan.runs[run].recipe for run in study.runs} == {"fm4npp.find_tracks"}


def test_null_takes_out_datasets_systems_and_tasks() -> None:
    whole = planned()
    assert planned({"data": {"lartpc": None}, "systems": {"polar_mae": None}}).systems() == ["fm4npp"]
    fewer = planned(
        setting(
            "systems.fm4npp",
            {"tasks": {"noise": None}, "baselines": {"instances": None, "classical": {"tasks": {"track": None}}}},
        )
    )
    assert set(fewer.runs) < set(whole.runs)
    assert set(whole.studies) - set(fewer.studies) == {"fm4npp.heads_noise", "fm4npp.baselines_track"}
    without = {"tasks": {"pid": None}}
    fewer = planned(setting("systems.fm4npp.baselines", {"classes": without, "classical": without}))
    assert set(whole.studies) - set(fewer.studies) == {"fm4npp.baselines_pid"}


def test_a_dataset_that_is_taken_out_is_missed_by_its_system() -> None:
    said = r"systems\.polar_mae\.dataset: there is no dataset 'lartpc'; data holds collider"
    with pytest.raises(ConfigError, match=said):
        planned({"data": {"lartpc": None}})


@pytest.mark.parametrize("system", ["polar_mae", "fm4npp"])
def test_equal_work_of_two_systems_is_one_run(system: str) -> None:
    alone, both = planned(scale="tiny"), planned({"systems": {"again": block(system)}}, "tiny")
    assert both.runs == alone.runs
    assert both.caches == alone.caches
    for study in alone.studies.values():
        if study.system == system:
            again = both.study("again", study.name)
            assert again is not None
            assert again.points == study.points


def test_without_scaling_the_studies_of_data_and_compute_are_left_out() -> None:
    plan = planned(setting("systems.fm4npp.scaling", None), "tiny")
    names = {study.name for study in plan.studies.values()}
    assert not names & {"scaling_data", "scaling_compute"}
    assert "scaling_size" in names
