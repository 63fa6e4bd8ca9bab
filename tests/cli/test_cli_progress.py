"""The lines that a run of the workflow prints say how far it is, and its end says what was trained and what to try next."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from plans import planned
from tpcfm.cli._progress import Progress, clock, leave_out_chatter, line, summary
from tpcfm.evaluate.table import write_metrics
from tpcfm.workspace import Workspace


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (61.4, "1:01"), (5999, "99:59"), (6000, "1 h 40 min"), (90_000, "25 h 00 min")]
)
def test_time_is_read_at_a_glance(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_time_left_stands_there_once_it_can_be_guessed() -> None:
    assert line(1, 100, 30, []) == "   0:30     1 of 100 jobs"
    assert (
        line(25, 100, 60, ["finetune_run", "pretrain"])
        == "   1:00    25 of 100 jobs, about 3:00 left  (finetune, pretrain)"
    )
    assert line(100, 100, 60, []).endswith("100 of 100 jobs, about 0:00 left")


def test_a_line_is_printed_only_when_jobs_have_ended(capsys: pytest.CaptureFixture) -> None:
    job = SimpleNamespace(rule=SimpleNamespace(name="ingest"))
    scheduler = SimpleNamespace(finished_jobs=3, running=[job])
    progress = Progress(SimpleNamespace(scheduler=scheduler), 9, every=0.01)
    progress.show()
    progress.show()
    scheduler.finished_jobs = 4
    progress.show()
    said = capsys.readouterr().out.splitlines()
    assert [text.split("of")[0].split()[-1] for text in said] == ["3", "4"]
    assert said[0].endswith("(ingest)")


def test_warnings_and_errors_stay(capsys: pytest.CaptureFixture) -> None:
    logger, seen = logging.Logger("snakemake"), []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign,assignment]
    logger.addHandler(handler)
    leave_out_chatter(logger)
    logger.info("Select jobs to execute...")
    logger.info("Execute 2 jobs...")
    logger.info("Nothing to be done")
    logger.error("Execute permission is missing")
    assert [record.getMessage() for record in seen] == ["Nothing to be done", "Execute permission is missing"]


def test_the_summary_names_the_best_score_of_each_task_on_test_events(tmp_path: Path) -> None:
    plan, workspace = planned(scale="tiny"), Workspace(tmp_path)
    first, second = [run for run in plan.of_stage("finetune") if plan.runs[run].task == "track"][:2]

    def row(run: str, value: float, split: str = "test", name: str = "ari", of: str = "") -> dict:
        held = {"run": run, "system": "fm4npp", "family": "fm4npp", "dataset": "d", "task": "track", "n_labels": 2}
        return {**held, "seed": 0, "split": split, "metric": name, "class": of, "value": value}

    write_metrics(workspace.metrics(first), [row(first, 0.25), row(first, 0.9, "validation"), row(first, 0.8, of="x")])
    write_metrics(workspace.metrics(second), [row(second, 0.5), row(second, 0.99, name="purity")])
    said = "\n".join(summary(plan, workspace))
    assert f"fm4npp, track: best ARI on test events 0.50 ({second})" in said
    assert f"{len(plan.of_stage('pretrain'))} pretrained networks" in said
    assert str(workspace.report) in said
    assert "tpcfm predict" not in said, "no model is there"
    workspace.weights(first).touch()
    assert f"tpcfm predict {workspace.run(first)} YOUR_FILES" in "\n".join(summary(plan, workspace))
