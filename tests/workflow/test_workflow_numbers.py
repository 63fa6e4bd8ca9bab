"""No number of the report is of another split: with wrong values beside the right ones, in every split that a score does not belong to, no item changes."""

import contextlib
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tpcfm.errors import DataError
from tpcfm.evaluate.sources import check_results
from tpcfm.evaluate.study import collect_studies
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Sheet
from tpcfm.report.page import sections
from tpcfm.report.view import View
from tpcfm.scaling.study import scaling_points
from tpcfm.workspace import Workspace
from workflow_checkout import Checkout

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ROW = ["run", "task", "metric", "class", "n_labels", "seed"]
WRONG = 0.77123456


@pytest.fixture
def results(tiny: Checkout, tmp_path: Path) -> Plan:
    """A copy of the finished results to spoil; its plan."""
    shutil.copytree(tiny.folder / "results", tmp_path / "results")
    with contextlib.chdir(tiny.folder):
        plan = tiny.plan()
    return plan.model_copy(update={"config": {**plan.config, "results": str(tmp_path / "results")}})


def items(plan: Plan, folder: Path) -> dict[str, str]:
    view = View(plan, Sheet(folder / "figures", "tiny"))
    return {item.name: item.html + item.caption for section in sections(view) for item in section.items}


def with_wrong_rows(path: Path) -> None:
    """Put wrong values of every score into the splits that have none of it, above the right ones."""
    frame = pd.read_parquet(path)
    held = frame[[*ROW, "split"]].drop_duplicates()
    wrong = [frame[~frame["split"].isin(["", other])].assign(split=other) for other in ("train", "validation", "test")]
    made = pd.concat(wrong).assign(value=WRONG, low=WRONG, high=WRONG).drop_duplicates([*ROW, "split"])
    made = made.merge(held, on=[*ROW, "split"], how="left", indicator=True)
    made = made[made.pop("_merge") == "left_only"]
    assert len(made)
    pd.concat([made, frame], ignore_index=True).to_parquet(path, index=False)


def test_no_number_is_of_another_split(results: Plan, tmp_path: Path) -> None:
    before, laws = items(results, tmp_path), scaling_points(collect_studies(results, ["scaling"]))
    assert len(before) > 80
    work = Workspace(Path(results.config["results"]))
    for run in results.runs:
        with_wrong_rows(work.metrics(run))
    with_wrong_rows(work.study_table("scaling", "metrics"))
    after = items(results, tmp_path)
    assert [name for name in before if before[name] != after.get(name)] == []
    pd.testing.assert_frame_equal(laws, scaling_points(collect_studies(results, ["scaling"])))


def test_the_finished_results_are_what_they_say_and_swapped_ones_are_refused(results: Plan) -> None:
    work = Workspace(Path(results.config["results"]))
    shown = [folder for folder in work.shown(results.systems()) if folder.is_dir()]
    assert all((folder / "sources.json").is_file() for folder in (*shown, *map(work.run, results.runs)))
    check_results(results, folders=shown)
    first, second = list(results.runs)[:2]
    for path in (work.metrics(first), work.metrics(second)):
        path.rename(path.with_suffix(".aside"))
    work.metrics(first).with_suffix(".aside").rename(work.metrics(second))
    work.metrics(second).with_suffix(".aside").rename(work.metrics(first))
    with pytest.raises(DataError, match=f"holds numbers of the run {second}, not of {first}"):
        check_results(results, folders=shown)
