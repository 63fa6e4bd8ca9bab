"""One pretraining in several processes under a real Slurm: two GPUs of one node, or two nodes with a container on each."""

import json
from pathlib import Path

import pytest

from cluster_checkout import IMAGE, Checkout, ask, marks, run_id

pytestmark = marks()


def losses(folder: Path) -> list[float]:
    """Training loss of every step."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["split"] == "train"]


@pytest.mark.parametrize(("nodes", "gpus"), [(1, 2), (2, 1)])
def test_the_losses_are_those_of_one_process(whole, tmp_path: Path, nodes: int, gpus: int) -> None:
    copy = Checkout(tmp_path)
    copy.take_caches(whole.checkout)
    run = run_id(copy.plan(), "fm4npp-pretrain-m1-s0")
    target = f"results/runs/{run}/model.safetensors"
    setting = {"TPCFM_SLURM_NODES": str(nodes), "TPCFM_SLURM_GPUS": str(gpus)}
    done = copy.run("--", target, **setting)
    log = (copy.results / f"logs/pretrain/{run}.log").read_text()
    assert done.returncode == 0, done.stdout[-4000:] + log

    record = json.loads((copy.results / "runs" / run / "run.json").read_text())
    assert record["image"]["APPTAINER_CONTAINER"] == str(IMAGE)
    assert record["slurm"]["SLURM_JOB_NODELIST"] == (
        "local[1-2]" if nodes == 2 else record["slurm"]["SLURM_JOB_NODELIST"]
    )
    number = record["slurm"]["SLURM_JOB_ID"]
    steps = ask("sacct", "-n", "-P", "-S", "now-12hours", "-j", number, "-o", "jobid,nnodes,ntasks,alloctres,state")
    rows = {line.split("|")[0]: line.split("|")[1:] for line in steps.splitlines()}
    assert "gres/gpu=2" in rows[number][2]
    assert rows[f"{number}.0"][:2] == [str(nodes), str(nodes)], "one task per node"
    assert rows[f"{number}.0"][3] == "COMPLETED"

    expected = losses(whole.checkout.results / "state" / run)
    assert losses(copy.results / "state" / run) == pytest.approx(expected, rel=1e-4)


def test_a_second_node_is_not_asked_for_where_there_is_none(tmp_path: Path) -> None:
    done = Checkout(tmp_path).run("--", "all", TPCFM_SLURM_NODES="3")
    assert done.returncode == 1
    assert "nodes: 3 nodes for one training, but the partition 'gpu' has 2" in done.stdout
    assert "has been submitted" not in done.stdout
