"""The coordinate check as a job: sizes of every width and step, exponents in the metrics table, equal for equal seeds."""

import pandas as pd
import pytest

from fm4npp_toys import toy_cache
from tpcfm.evaluate.table import COLUMNS
from tpcfm.files import read_json
from tpcfm.plan.run import Run
from tpcfm.systems.fm4npp import coordinate_check
from tpcfm.systems.fm4npp.study_settings import CoordinateCheck
from tpcfm.workspace import Workspace

WIDTHS, STEPS = [64, 128, 256], 2


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    space = Workspace(tmp_path_factory.mktemp("coordinates"))
    toy_cache(space.cache("toy"), splits={"train": 4, "validation": 1, "test": 1})
    return space


def check(parameterization, **changes):
    model = {"depth": 2, "parameterization": parameterization}
    block = CoordinateCheck.model_validate({"model": model, "widths": WIDTHS, "steps": STEPS, **changes})
    names = {"slug": f"coordinates-{parameterization}", "stage": "probe", "family": "fm4npp", "task": "coordinates"}
    config = block.model_dump(mode="json")
    return Run(**names, recipe="fm4npp.coordinate_check", config=config, dataset="toy", cache="toy")


def outputs(workspace, run):
    coordinate_check.run(run, workspace, device="cpu")
    folder = workspace.run(run.id)
    return pd.read_parquet(folder / "sizes.parquet"), pd.read_parquet(folder / "metrics.parquet")


def test_the_job_writes_every_size_and_the_exponents(workspace):
    run = check("mup")
    sizes, metrics = outputs(workspace, run)
    assert set(sizes["width"]) == set(WIDTHS)
    assert set(sizes["step"]) == set(range(STEPS + 1))
    assert set(sizes["parameterization"]) == {"mup"}
    assert set(sizes["part"]) == {"branch 1", "branch 2", "state in", "state out", "prediction"}
    assert (sizes.loc[sizes["step"] == 0, "update"] == 0).all()
    assert (sizes.loc[sizes["step"] == STEPS, "update"] > 0).all()
    # The head starts at zero, so the first step moves nothing but the head.
    moved = sizes[(sizes["step"] == 1) & (sizes["update"] > 0)]
    assert set(moved["part"]) == {"prediction"}
    assert list(metrics.columns) == list(COLUMNS)
    assert set(metrics["metric"]) == {"activation_slope", "update_slope"}
    assert set(metrics["class"]) == set(sizes["part"])
    record = read_json(workspace.run(run.id) / "run.json")
    assert record["run"]["recipe"] == "fm4npp.coordinate_check"
    assert record["versions"]["torch"]


def test_standard_parameterization_updates_grow_faster_with_the_width(workspace):
    """Of the two, only the maximal-update parameterization keeps the updates of the branches where they are."""
    slope = {}
    for kind in ("mup", "standard"):
        _, metrics = outputs(workspace, check(kind))
        rows = metrics[(metrics["metric"] == "update_slope") & metrics["class"].str.startswith("branch")]
        slope[kind] = rows["value"]
    assert slope["mup"].abs().max() < 0.2
    assert slope["standard"].min() > 0.3


def test_the_mean_over_seeds_is_the_mean_of_the_single_ones(workspace):
    found = {seeds: outputs(workspace, check("mup", seeds=list(seeds)))[0] for seeds in ((0,), (1,), (0, 1))}
    mean = (found[(0,)]["activation"] + found[(1,)]["activation"]) / 2
    pd.testing.assert_series_equal(found[(0, 1)]["activation"], mean, rtol=1e-6)
