"""A training under a real Slurm that meets its time limit, a pre-emption and a dead node ends with the weights of an unbroken one.

Slurm's accounting tells Snakemake how its jobs are here (``status_command: sacct``).
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cluster_checkout import PATIENCE, Checkout, ask, marks, run_id, wait

pytestmark = marks()
LONG = {
    "systems": {"fm4npp": {"pretrain": {"steps": 2500, "evaluate_every": 1250, "warmup_steps": 1}}},
    "execution": {"stages": {"pretrain": {"checkpoint_every": 20}}},
}


def checkpoint(state: Path) -> int:
    """Step of the newest checkpoint, 0 without one."""
    return max((int(p.stem.split("-")[1]) for p in state.glob("checkpoint-*.pt")), default=0)


def crash(node: str, job: str) -> None:
    """End everything of a job on a node without a word, as a crash does, and let Slurm find the node down."""
    for process in psutil.process_iter(["cmdline"]):
        if re.match(rf"slurmstepd: \[{job}\.", " ".join(process.info["cmdline"] or [])):
            for one in (process, *process.children(recursive=True)):
                try:
                    one.kill()
                except psutil.NoSuchProcess:
                    continue
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=crashed"], check=True, timeout=60)


@dataclass
class Story:
    """What happened to one training, and where both lie."""

    broken: Path
    unbroken: Path
    text: str
    log: str
    jobs: list[str]
    code: int


@pytest.fixture(scope="module")
def story(whole, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Train once with three interruptions and once without."""
    copies = []
    for name in ("broken", "unbroken"):
        copy = Checkout(tmp_path_factory.mktemp("training") / name, LONG)
        copy.take_caches(whole.checkout)
        copies.append(copy)
    copy, other = copies
    run = run_id(copy.plan(), "fm4npp-pretrain-m1-s0")
    other.plan()
    target = f"results/runs/{run}/model.safetensors"
    state, log = copy.results / "state" / run, copy.results / f"state/{run}/train.log"
    said = copy.folder / "said.txt"
    variables = {"TPCFM_SLURM_STATUS_COMMAND": "sacct"}
    process = copy.start(said, "--", target, **variables)
    jobs = []

    def further(beyond: int) -> str:
        """The job that takes the training beyond a step."""
        wait("a checkpoint", lambda: checkpoint(state) > beyond, process, said)
        jobs.append(wait("a running job", copy.job, process, said))
        return jobs[-1]

    # The time limit: moved so that less than the five minutes of the profile are left, and Slurm sends its warning.
    job = further(0)
    elapsed = ask("squeue", "-h", "-j", job, "-o", "%M").strip().split(":")
    limit = int(elapsed[-2]) + 4
    subprocess.run(["scontrol", "update", f"jobid={job}", f"timelimit={limit}"], check=True, timeout=60)
    wait("the warning", lambda: "SIGURG received" in log.read_text(), process, said)
    wait("the next job", lambda: copy.job() not in ("", job), process, said)
    # A pre-emption with a warning, or a user.
    job = further(checkpoint(state))
    subprocess.run(["scancel", "--signal=URG", job], check=True, timeout=60)
    wait("the next job", lambda: copy.job() not in ("", job), process, said)
    # A node that dies.
    job = further(checkpoint(state))
    node = ask("squeue", "-h", "-j", job, "-o", "%N").strip()
    crash(node, job)
    try:
        wait("Slurm to notice", lambda: copy.job() != job, process, said)
    finally:
        # Slurm may have taken the node back by itself (ReturnToService): then there is nothing to resume.
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], timeout=60)
    wait("the node", lambda: ask("sinfo", "-h", "-n", node, "-o", "%t").strip()[:4] in ("idle", "mix", "allo"))
    # Slurm waits two minutes before it starts a requeued job again. Some seconds are needed: a node that comes back revokes what it
    # ran before, and refuses a job that starts within the same second ("Job credential revoked").
    subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now+15"], timeout=60)
    unbroken = other.run("--", target)
    assert unbroken.returncode == 0, unbroken.stdout[-6000:]
    assert "Trying to restart job" not in unbroken.stdout
    code = process.wait(timeout=PATIENCE)
    jobs.append(max(copy.jobs(), key=int))
    return Story(copy.folder / target, other.folder / target, said.read_text(), log.read_text(), jobs, code)


def test_it_ends_well(story: Story) -> None:
    assert story.code == 0, story.text[-6000:]


def test_the_weights_are_those_of_an_unbroken_training(story: Story) -> None:
    assert story.broken.read_bytes() == story.unbroken.read_bytes()


def test_every_interruption_was_met_and_the_log_tells_of_each(story: Story) -> None:
    assert story.log.count("SIGURG received: saving at the next step") == 2, story.log
    assert story.log.count("ends with Interrupted: ") == 2, "both had the time to save and to leave in order"
    assert story.log.count("continues at step") == 3, story.log
    assert story.log.count("took over the stale lock") == 1, "of the job that died with its node"
    steps = [int(n) for n in re.findall(r"continues at step (\d+) of 2500", story.log)]
    assert steps == sorted(steps)
    assert steps[0] >= 20


def test_snakemake_tried_again_after_each_saved_stop(story: Story) -> None:
    assert len(set(story.jobs[:3])) == 3
    assert story.text.count("Trying to restart job") >= 2


def test_slurm_itself_brought_back_the_job_of_the_dead_node(story: Story) -> None:
    states = ask("sacct", "-n", "-X", "-D", "-P", "-S", "now-12hours", "-j", story.jobs[2], "-o", "state").split()
    assert "NODE_FAIL" in states, states
    assert states[-1] == "COMPLETED", states
