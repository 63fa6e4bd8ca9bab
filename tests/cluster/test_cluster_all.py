"""``snakemake --profile slurm all`` from raw files to report: every rule under a real Slurm and inside the real image, GPUs where asked.

One job fails the first time; the same command then makes it and what hangs on it, and nothing else.
"""

import json
import re

from cluster_checkout import IMAGE, ask, marks
from workflow_checkout import rules_with_a_command

pytestmark = marks()
TRAINING = ("pretrain", "finetune_run", "baseline_run", "probe")
LOCAL = {"collect_finetune", "collect_ablations", "collect_baselines", "mlflow_init", "mlflow_sync"}
"""Rules with a command that stay on the machine one submits from; ``all`` and the other targets have none."""


def rules(text: str) -> list[str]:
    """Rule of every job that Snakemake reports as finished."""
    return re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", text, re.M)


def trains(submission: str) -> bool:
    """Whether a submission (the folder of its log) is one of trainings: ``rule_pretrain``, ``group_probe_probe``."""
    return submission.split("_", 1)[1].startswith(TRAINING)


def records(whole) -> dict[str, dict]:
    """``run.json`` of every run."""
    runs = whole.checkout.results / "runs"
    return {name: json.loads((runs / name / "run.json").read_text()) for name in whole.plan["runs"]}


def test_one_failing_job_does_not_keep_the_others(whole) -> None:
    text = whole.first.stdout
    assert whole.first.returncode == 1
    assert f"results/state/{whole.victim}/lock.json: cannot write the state folder" in text
    failed = set(re.findall(r"^Error in (?:local)?rule (\w+)", text, re.M))
    assert failed == {"pretrain"}, text[-6000:]
    stages = [run["stage"] for run in whole.plan["runs"].values()]
    for rule, stage in {"finetune_run": "finetune", "probe": "probe", "baseline_run": "baseline"}.items():
        assert rules(text).count(rule) == stages.count(stage)
    assert rules(text).count("pretrain") == stages.count("pretrain") - 1
    assert "report" not in rules(text)


def test_the_same_command_makes_what_was_missing_and_no_more(whole) -> None:
    assert whole.second.returncode == 0, whole.second.stdout[-6000:]
    done = rules(whole.second.stdout)
    assert done.count("pretrain") == 1
    assert not set(done) & {"finetune_run", "probe", "baseline_run", "ingest", "prepare_groups", "prepare_sequences"}
    assert {"report", "mlflow_sync", "all"} <= set(done)


def test_everything_is_there_and_nothing_is_left_to_do(whole) -> None:
    results = whole.checkout.results
    assert "scale: tiny" in (results / "report/index.html").read_text()
    assert (results / "mlflow/synced.json").is_file()
    for name, run in whole.plan["runs"].items():
        assert (results / "runs" / name / "metrics.parquet").stat().st_size > 0
        if run["stage"] != "probe":
            assert (results / "runs" / name / "model.safetensors").stat().st_size > 0
    again = whole.checkout.run("-n", "--", "all")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def test_every_rule_ran_in_the_image(whole) -> None:
    activated = f"Activating singularity image {IMAGE}"
    logs = whole.checkout.results / "logs/slurm"
    for path in logs.rglob("*.log"):
        assert activated in path.read_text(), path
    for name in LOCAL & {*rules(whole.first.stdout), *rules(whole.second.stdout)}:
        assert activated in whole.first.stdout + whole.second.stdout, name
    for name, record in records(whole).items():
        assert record["image"] == {"APPTAINER_CONTAINER": str(IMAGE), "TPCFM_IMAGE": "cpu"}, name


def test_every_rule_with_a_command_was_submitted(whole, tmp_path) -> None:
    commands = set(rules_with_a_command(tmp_path))
    did = {*rules(whole.first.stdout), *rules(whole.second.stdout)}
    unused = {"fetch_file", "model_edges", "predict_file"}
    assert commands - did == unused, (
        "the tiny scale downloads and predicts nothing, imports no weights, and does all else"
    )
    seen = set(whole.checkout.jobs().values())
    named = {rule for rule in did if {f"rule_{rule}", f"group_{rule}_{rule}"} & seen}
    assert did - named - LOCAL == {"all", "scaling_plots"}, "all but the local rules left a log of a Slurm job"


def test_slurm_gave_gpus_to_training_and_to_nothing_else(whole) -> None:
    table = ask("sacct", "-n", "-X", "-P", "-S", "now-12hours", "-o", "jobid,partition,state,alloctres,nodelist")
    rows = {line.split("|")[0]: line.split("|")[1:] for line in table.splitlines()}
    jobs = whole.checkout.jobs()
    assert jobs
    failed = []
    for number, rule in jobs.items():
        partition, state, resources, node = rows[number]
        training = trains(rule)
        assert partition == ("gpu" if training else "cpu"), (rule, number)
        assert ("gres/gpu=1" in resources) == training, (rule, number, resources)
        assert node in ("local1", "local2")
        if state != "COMPLETED":
            failed.append((rule, state))
    assert failed == [("rule_pretrain", "FAILED")]
    by_record = {name: record["slurm"] for name, record in records(whole).items()}
    for name, job in by_record.items():
        assert job["SLURM_JOB_PARTITION"] == "gpu", name
        assert trains(jobs[job["SLURM_JOB_ID"]]), name


def test_short_jobs_shared_submissions(whole) -> None:
    finished = len(rules(whole.first.stdout)) + len(rules(whole.second.stdout))
    assert len(whole.checkout.jobs()) < finished - 5
    assert any(name.startswith("group_") for name in whole.checkout.jobs().values())


def test_nothing_lands_in_the_checkout_but_results(whole) -> None:
    expected = {
        "Snakefile",
        "config.yaml",
        "workflow",
        "profiles",
        "src",
        "slurm",
        "over.yaml",
        "results",
        ".snakemake",
    }
    assert {p.name for p in whole.checkout.folder.iterdir()} == expected
