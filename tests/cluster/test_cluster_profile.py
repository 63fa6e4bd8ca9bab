"""The Slurm profile: what a site sets reaches the submissions, every rule is placed, GPUs only where asked, nothing that deadlocks."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

from tpcfm.config.site import Site
from workflow_checkout import rules_with_a_command

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles/slurm/profile.v9+.yaml"
GPU_RULES = {"pretrain", "finetune_run", "baseline_run", "probe", "predict_file"}


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is read from the root of the checkout, without what the caller's shell says about a site."""
    import os

    monkeypatch.chdir(ROOT)
    for name in list(os.environ):
        if name.startswith("TPCFM_S"):
            monkeypatch.delenv(name)


def profile() -> dict[str, Any]:
    with PROFILE.open() as stream:
        return dict(ProfileConfigFileParser().parse(stream))


def resources(read: dict[str, Any], rule: str, attempt: int = 1) -> dict[str, Any]:
    """Resources of a rule at an attempt, with the expressions evaluated as Snakemake does."""
    found = dict(item.split("=", 1) for item in read["default-resources"])
    for item in read["set-resources"]:
        name, setting = item.split(":", 1)
        if name == rule:
            key, value = setting.split("=", 1)
            found[key] = value
    return {k: eval(v, {"attempt": attempt}) for k, v in found.items()}


def sbatch(read: dict[str, Any], rule: str, attempt: int = 1) -> str:
    """Command line of the submission, from the plugin's own functions."""

    class Resources(dict):
        __getattr__ = dict.__getitem__

    threads = dict(item.split("=") for item in read["set-threads"]).get(rule, 1)
    held = Resources(resources(read, rule, attempt) | {"_cores": int(threads)})
    job = SimpleNamespace(resources=held, threads=int(threads))
    validate_slurm_extra(job)
    parameters = {
        "run_uuid": "u",
        "slurm_logfile": "l",
        "comment_str": "c",
        "account": f" -A {held['slurm_account']}" if "slurm_account" in held else "",
        "partition": f" -p {held['slurm_partition']}",
        "workdir": ".",
    }
    settings = SimpleNamespace(requeue=True, qos=None, reservation=None)
    return get_submit_command(job, parameters, settings=settings) + set_gres_string(job)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Rules of the workflow that run a command and are not declared local."""
    found = rules_with_a_command(tmp_path_factory.mktemp("rules"))
    return {name for name, local in found.items() if not local}


def test_link_in_the_root_leads_to_the_one_profile() -> None:
    assert (ROOT / "slurm").resolve() == PROFILE.parent
    assert [p.name for p in PROFILE.parent.glob("*.yaml") if p.name.startswith(("profile", "config"))] == [PROFILE.name]


def test_every_rule_that_is_placed_exists(rules: set[str]) -> None:
    read = profile()
    named = {item.split(":")[0] for item in read["set-resources"]} | {g.split("=")[0] for g in read["groups"]}
    assert named <= rules
    assert len(rules) > 10


def test_trainings_and_predictions_go_to_gpus_and_nothing_else_does(rules: set[str]) -> None:
    read = profile()
    asking = {rule for rule in rules if resources(read, rule).get("gpu")}
    assert asking == GPU_RULES
    for rule in rules:
        assert resources(read, rule)["slurm_partition"] == ("gpu" if rule in GPU_RULES else "cpu"), rule


@pytest.mark.parametrize("rule", sorted(GPU_RULES))
def test_gpus_of_a_job_stay_on_one_machine_and_the_trainer_is_warned(rule: str) -> None:
    line = sbatch(profile(), rule)
    for needed in ("--nodes=1", "--gpus=1", "--signal=URG@300", "--requeue", "-p gpu"):
        assert needed in line
    assert "ntasks-per-gpu" not in line, "would run the command once per GPU"


def test_memory_and_time_grow_with_the_attempt_and_nothing_else(rules: set[str]) -> None:
    read = profile()
    for rule in rules:
        first, third = resources(read, rule, 1), resources(read, rule, 3)
        assert {k for k in first if first[k] != third[k]} == {"mem_mb"} | (
            {"runtime"} if first["runtime"] < 1440 else set()
        ), rule
        assert third["mem_mb"] == 3 * first["mem_mb"]
        assert third["runtime"] == min(3 * first["runtime"], 1440), "never more than the partition allows"


def test_site_settings_reach_the_submission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = yaml.safe_load((PROFILE.parent / "site.yaml").read_text())
    site |= {
        "account": "123456",
        "gpu_partition": "gpu-long",
        "gpu_model": "h200",
        "gpus": 4,
        "binds": ["/data", "/x y"],
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    monkeypatch.setenv("TPCFM_SITE", str(tmp_path / "site.yaml"))
    monkeypatch.setenv("TPCFM_SLURM_GPU_JOB_CPUS", "12")
    monkeypatch.setenv("TPCFM_SLURM_STATUS_COMMAND", "sacct")
    read = profile()
    line = sbatch(read, "pretrain")
    assert "--gpus=h200:4" in line
    assert "-p gpu-long" in line
    assert "-A 123456" in line
    assert "--cpus-per-task=12" in line
    assert "--gpus=h200:1" in sbatch(read, "finetune_run"), "one GPU per fine-tuning"
    assert read["slurm-status-command"] == "sacct"
    assert "--bind /data" in read["apptainer-args"]


def test_pretraining_over_nodes_asks_for_one_task_and_the_gpus_per_node(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NODES": "3", "GPUS": "4", "GPU_MODEL": "h200"}.items():
        monkeypatch.setenv(f"TPCFM_SLURM_{name}", value)
    read = profile()
    line = sbatch(read, "pretrain")
    for needed in ("--nodes=3", "--ntasks=3", "--gres=gpu:h200:4", "--signal=URG@300"):
        assert needed in line
    assert "ntasks-per-gpu" not in line
    assert "--gpus" not in line
    assert resources(read, "pretrain")["processes"] == 4
    assert "--nodes=1" in sbatch(read, "finetune_run"), "one node per fine-tuning"


def test_without_an_account_slurm_chooses() -> None:
    assert "slurm_account" not in resources(profile(), "ingest")


def test_missing_site_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPCFM_SITE", "nowhere.yaml")
    with pytest.raises(Exception, match=r"nowhere\.yaml"):
        profile()


def test_what_a_site_file_does_not_say_is_as_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Site().model_dump() == yaml.safe_load((PROFILE.parent / "site.yaml").read_text())
    (tmp_path / "site.yaml").write_text("gpu_partition: a100\n")
    shipped = profile()
    monkeypatch.setenv("TPCFM_SITE", str(tmp_path / "site.yaml"))
    assert "-p a100" in sbatch(profile(), "pretrain")
    assert resources(profile(), "ingest") == resources(shipped, "ingest")


@pytest.mark.parametrize(
    ("text", "variable", "said"),
    [
        ("gpus: many\n", {}, r"site\.yaml:\n  gpus: .*'many'"),
        ("quue: 3\n", {}, r"site\.yaml:\n  quue: unknown key; allowed here: account"),
        ("gpus: 2\ngpus: 3\n", {}, r"site\.yaml: line 2: the key 'gpus'"),
        ("gpus: 2\n", {"GPUS": ""}, r"TPCFM_SLURM_GPUS:\n  gpus: .*found ''"),
        (
            "gpus: 2\n",
            {"STATUS_COMMAND": "qstat"},
            r"TPCFM_SLURM_STATUS_COMMAND:\n  status_command: .*'squeue' or 'sacct'",
        ),
    ],
)
def test_what_a_site_says_wrongly_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, variable: dict[str, str], said: str
) -> None:
    (tmp_path / "site.yaml").write_text(text)
    monkeypatch.setenv("TPCFM_SITE", str(tmp_path / "site.yaml"))
    for name, value in variable.items():
        monkeypatch.setenv(f"TPCFM_SLURM_{name}", value)
    with pytest.raises(Exception, match=said):
        profile()


@pytest.mark.parametrize(("devices", "expected"), [("0", "--nv"), (None, "")])
def test_driver_is_passed_through_where_slurm_gave_a_gpu(devices: str | None, expected: str) -> None:
    arguments = profile()["apptainer-args"]
    environment = {"CUDA_VISIBLE_DEVICES": devices} if devices else {}
    done = subprocess.run(["bash", "-c", f"echo {arguments}"], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == expected


def test_short_jobs_share_submissions_without_arrays() -> None:
    read = profile()
    grouped = {g.split("=")[0] for g in read["groups"]}
    assert {"ingest", "prepare_groups", "prepare_sequences"} <= grouped
    assert not grouped & GPU_RULES
    assert {g.split("=")[0] for g in read["group-components"]} == {g.split("=")[1] for g in read["groups"]}
    assert set(read["set-resource-scopes"]) == {"short=local", "training=local"}, (
        "limits within each submission, not over all"
    )
    for rule in grouped:
        assert resources(read, rule)["short"] == 1
    assert not any("array" in key for key in read)


def test_small_trainings_share_submissions_where_the_site_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPCFM_SLURM_SMALL_TRAININGS_TOGETHER", "5")
    read = profile()
    numbers = dict(g.split("=") for g in read["group-components"])
    assert {rule for rule in GPU_RULES if numbers.get(rule) == "5"} == GPU_RULES - {"pretrain"}
    assert "training=1" in read["resources"], "one after the other: each has the GPU for itself"
    assert all(resources(read, rule)["training"] == 1 for rule in GPU_RULES)
    assert 5 * resources(read, "finetune_run", 9)["runtime"] <= 1440, "together within the limit of the partition"


def test_local_cluster_site_has_the_same_keys() -> None:
    ours, theirs = (yaml.safe_load((ROOT / f"profiles/{n}/site.yaml").read_text()) for n in ("slurm", "ci"))
    assert ours.keys() == theirs.keys()
    overlay = yaml.safe_load((ROOT / "profiles/ci/profile.v9+.yaml").read_text())
    assert not set(overlay) & {"set-resources", "default-resources", "executor", "apptainer-args"}, (
        "would hide the profile"
    )
