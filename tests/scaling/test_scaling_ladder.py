"""The ladder before anything is spent: parameters and operations of the formulas, hours that follow the device, memory that fits."""

import pytest

from plans import planned
from tpcfm.errors import ConfigError
from tpcfm.models.fm4npp import parameters as count
from tpcfm.models.fm4npp.settings import WIDTHS, Fm4nppModel
from tpcfm.models.fm4npp.traffic import kept, points_that_fit
from tpcfm.plan.work import OPTIMISER_BYTES, USABLE
from tpcfm.scaling.cost import LONGEST_EVENT, Costs
from tpcfm.scaling.devices import DEVICES, Assumptions, device
from tpcfm.scaling.ladder import ladder

ASSUMED = Assumptions()


@pytest.fixture(scope="module")
def paper():
    return planned(scale="paper")


@pytest.fixture(scope="module")
def rungs(paper):
    return {row.run: row for row in ladder(paper, device("h100"), ASSUMED)}


def of_size(rungs, size):
    wanted = count.backbone(Fm4nppModel(width=WIDTHS[size]))
    (row,) = (r for r in rungs.values() if r.parameters == wanted and "scaling_size" in r.studies)
    return row


def test_every_pretraining_of_the_scaling_studies_is_listed_once(paper, rungs):
    wanted = {r for r in paper.of_experiment("scaling") if paper.runs[r].recipe == "fm4npp.pretrain"}
    assert set(rungs) == wanted
    assert any("lr_transfer" in r.studies for r in rungs.values())


def test_parameters_points_and_operations_are_those_of_the_formulas(paper, rungs):
    row = of_size(rungs, "m6")
    assert row.parameters == 174_685_722
    train = paper.runs[row.run].config["train"]
    assert row.points == pytest.approx(train["steps"] * train["batch_size"] * 861)
    # Six operations per parameter and point, and the scan.
    assert row.flops == pytest.approx(6 * row.parameters * row.points, rel=0.08)


def test_a_share_of_the_steps_costs_that_share(rungs):
    full, half = of_size(rungs, "m2"), next(r for r in rungs.values() if "m2-compute0.5" in r.run)
    assert half.flops == pytest.approx(full.flops / 2)
    assert half.hours == pytest.approx(full.hours / 2, rel=0.02)
    # A share of the events changes what is seen, not how often.
    data = next(r for r in rungs.values() if "data0.01" in r.run)
    assert data.flops == of_size(rungs, "m3").flops


def test_a_given_utilisation_sets_the_hours(paper, rungs):
    chosen = device("h100")
    row = of_size(rungs, "m6")
    given = {r.run: r for r in ladder(paper, chosen, Assumptions(utilisation=0.1))}[row.run]
    assert given.hours == pytest.approx(row.flops / (0.1 * chosen.half) / 3600, rel=0.01)
    assert given.utilisation == pytest.approx(0.1, rel=0.01)


def test_small_models_use_less_of_the_peak_and_slow_devices_take_longer(paper, rungs):
    shares = [of_size(rungs, f"m{i}").utilisation for i in range(1, 7)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 0.5
    slower = {r.run: r for r in ladder(paper, device("a100"), ASSUMED)}
    assert all(slower[run].hours > row.hours for run, row in rungs.items())


def test_the_paper_scale_fits_into_80_gb_and_says_what_would(paper, rungs):
    assert all(row.fits for row in rungs.values())
    small = {r.run: r for r in ladder(keeping(), device("a30"), ASSUMED)}
    for run, row in small.items():
        assert row.fits == (row.micro_batch <= row.largest)
        assert row.largest < rungs[run].largest
    assert not all(row.fits for row in small.values())


def test_what_does_not_fit_is_recomputed_and_takes_longer(paper, rungs):
    kept, recomputed = (
        of_size({r.run: r for r in ladder(p, device("a30"), ASSUMED)}, "m6") for p in (keeping(), paper)
    )
    assert (kept.fits, recomputed.fits) == (False, True)
    assert recomputed.memory < kept.memory / 5
    assert recomputed.hours == pytest.approx(kept.hours * 4 / 3, rel=0.01)


def keeping():
    return planned({"execution": {"activation_checkpointing": False}}, "paper")


def test_the_longest_event_trains_the_largest_model_on_80_gb(paper, rungs):
    costs, run = Costs(paper), of_size(rungs, "m6").run
    memory = costs.estimate(run).memory
    room = USABLE * device("h100").memory
    assert memory.fixed + LONGEST_EVENT * memory.kept > room  # which only recomputing makes possible
    assert costs.memory(run, costs.estimate(run), device("h100")) <= room
    full = costs.full_batch(run)
    assert memory.of(full, room) == memory.fixed + full * memory.kept  # a full micro-batch is not recomputed
    model = Fm4nppModel(width=WIDTHS["m6"])
    fit = points_that_fit(model, count.backbone(model), room, "bfloat16")
    assert full < fit < LONGEST_EVENT


def test_unknown_devices_are_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'k80': known are .*h100"):
        device("k80")
    assert {"h100", "h200", "a100", "cpu"} <= set(DEVICES)


def test_parameters_and_memory_are_counted_as_elsewhere(paper, rungs):
    for row in rungs.values():
        model, train = Fm4nppModel.model_validate(paper.runs[row.run].config["model"]), paper.runs[row.run].train
        assert row.parameters == count.backbone(model)
        points = row.micro_batch * kept(model, train.precision)
        assert row.memory == pytest.approx(OPTIMISER_BYTES * row.parameters + points)


def test_the_micro_batch_is_that_of_the_execution():
    change = {"execution": {"runs": {"*-pretrain-*": {"max_points": 999}}}}
    before, after = (ladder(planned(over, "tiny"), device("h100"), ASSUMED) for over in ({}, change))
    assert [row.run for row in before] == [row.run for row in after]
    assert {row.micro_batch for row in after} == {999}
    assert all(a.memory < b.memory for a, b in zip(after, before, strict=True))


def test_a_second_system_of_a_family_has_rungs_of_its_own():
    rows = ladder(planned(scale="tiny"), device("h100"), ASSUMED)
    other = {"family": "fm4npp", "dataset": "lartpc", "sizes": ["m1"], "pretrain": {"steps": 9, "batch_size": 2}}
    both = ladder(planned({"systems": {"other": other}}, "tiny"), device("h100"), ASSUMED)
    (new,) = {row.run: row for row in both if row.run not in {r.run for r in rows}}.values()
    assert new.run.startswith("other-pretrain-m1-")
    assert new.points == pytest.approx(9 * 2 * 4300)
