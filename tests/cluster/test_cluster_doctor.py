"""``tpcfm doctor --slurm``: what sites of several kinds answer is understood, and the advice fits them.

The answers are recorded in the form the programs print them; test_cluster_slurm.py asks a real Slurm.
"""

from pathlib import Path

import pytest

from tpcfm.cli import _slurm
from tpcfm.cli._slurm import Answer, diagnose, parse_gpus, parse_partitions, preflight, problems, recommend

SINFO = """\
debug*|up|30:00|2|64|256000|(null)
batch|up|2-00:00:00|120|128|512000|(null)
gpu_a|up|1-00:00:00|10|64|1030000|gpu:a100:4(S:0-1)
gpu_h|up|12:00:00|4|96|2060000|gpu:h200:8(S:0-3),shard:16
gpu_h|up|12:00:00|1|48|1030000|gpu:h200:4
old|down|infinite|3|16|64000|gpu:2
"""
SITE = {
    "cpu_partition": "batch",
    "gpu_partition": "gpu_h",
    "account": "",
    "gpu_model": "",
    "gpus": 8,
    "gpu_job_cpus": 8,
    "gpu_job_mem_mb": 32000,
    "gpu_limit_minutes": 720,
    "gpu_limit_mb": 250000,
    "cpu_limit_minutes": 1440,
    "status_command": "sacct",
}


def site(**over: str | int) -> dict[str, object]:
    return SITE | over


def cluster(*, accounting: bool = True, age: int = 300):
    """A stand-in for the questions: answers as a site with or without accounting gives them."""
    off = Answer(1, "Slurm accounting storage is disabled\n")
    answers = {
        "sinfo": Answer(0, SINFO),
        "squeue": Answer(0, "17\n18\n"),
        "sacct": Answer(0, "16\n17\n") if accounting else off,
        "sacctmgr": Answer(0, "physics\n")
        if accounting
        else Answer(1, "Only 'accounting_storage/slurmdbd' is supported.\n"),
        "scontrol": Answer(
            0,
            f"AccountingStorageType   = accounting_storage/{'slurmdbd' if accounting else 'none'}\n"
            f"MinJobAge               = {age} sec\nPreemptMode             = CANCEL\n",
        ),
    }
    return lambda command: answers[command[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(null)", {}),
        ("gpu:2", {"": 2}),
        ("gpu:h200:4(S:0-1)", {"h200": 4}),
        ("gpu:a100:2(S:0),gpu:v100:1(S:1),shard:8", {"a100": 2, "v100": 1}),
        ("gpu:a100-sxm4-80gb:8", {"a100-sxm4-80gb": 8}),
        ("gpu", {"": 1}),
        ("lustre:1", {}),
    ],
)
def test_generic_resources_are_read(text: str, expected: dict[str, int]) -> None:
    assert parse_gpus(text) == expected


def test_partitions_with_several_kinds_of_nodes_are_one() -> None:
    found = {p.name: p for p in parse_partitions(SINFO)}
    assert list(found) == ["debug", "batch", "gpu_a", "gpu_h", "old"]
    assert found["debug"].default
    assert not found["old"].up
    assert (found["gpu_h"].nodes, found["gpu_h"].cpus, found["gpu_h"].gpus) == (5, 96, {"h200": 8})


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("30:00", 30), ("12:00:00", 720), ("2-00:00:00", 2880), ("7-12:30:00", 10830), ("infinite", 525600)],
)
def test_time_limits_are_read(text: str, minutes: int) -> None:
    assert _slurm.parse_limit(text) == minutes


def test_a_site_that_fits_raises_nothing() -> None:
    assert problems(site(), parse_partitions(SINFO), {"physics"}) == []
    assert problems(site(account="Physics", gpu_model="h200"), parse_partitions(SINFO), {"physics"}) == []


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"cpu_partition": "cpu"}, ["'cpu'", "debug, batch", "TPCFM_SLURM_CPU_PARTITION"]),
        ({"gpu_limit_minutes": 1440}, ["1440 minutes", "'gpu_h' allows (12:00:00)"]),
        ({"cpu_partition": "debug"}, ["'debug' allows (30:00)"]),
        ({"gpu_partition": "old", "gpus": 1, "gpu_job_mem_mb": 1000, "gpu_limit_mb": 1000}, ["'old' is down", "gpu_h"]),
        ({"gpus": 16}, ["16 x GPU", "8 x h200"]),
        ({"gpu_model": "b300", "gpus": 1}, ["1 x b300", "8 x h200"]),
        ({"nodes": 6}, ["6 nodes", "'gpu_h' has 5", "TPCFM_SLURM_NODES"]),
        ({"gpu_limit_mb": 3_000_000}, ["2060000 MB"]),
        ({"gpu_partition": "batch", "gpus": 1}, ["no GPUs"]),
        ({"gpu_job_cpus": 128}, ["128", "96 cores"]),
        ({"gpu_job_mem_mb": 4_000_000}, ["2060000 MB"]),
        ({"account": "chemistry"}, ["'chemistry' is not yours", "physics"]),
        ({"gpu_model": "a100-sxm4-80gb", "gpus": 0}, ["letters, digits", "Leave it empty"]),
    ],
)
def test_what_cannot_work_is_named_with_what_to_do(over: dict[str, str | int], words: list[str]) -> None:
    said = problems(site(**over), parse_partitions(SINFO), {"physics"})
    assert len(said) == 1
    for word in words:
        assert word in said[0]
    assert said[0].split(":")[0] in {*over, "cpu_limit_minutes"}


def test_without_accounting_any_account_passes() -> None:
    assert problems(site(account="anything"), parse_partitions(SINFO), set()) == []


def test_recommendation_fits_the_cluster() -> None:
    lines = recommend(parse_partitions(SINFO), {"physics"}, sacct=True)
    assert lines["cpu_partition"] == "batch", "the default one lets jobs run for half an hour only"
    assert lines["account"] == "physics"
    assert lines["status_command"] == "sacct"
    assert lines["gpu_partition"] in ("gpu_a", "gpu_h")
    kept = site(**{k: v for k, v in lines.items() if isinstance(v, str | int)}, gpus=1)
    assert problems(kept, parse_partitions(SINFO), {"physics"}) == []


def test_report_of_a_site_with_accounting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = diagnose(cluster())
    assert "status_command: sacct" in text
    assert "MinJobAge" not in text
    assert "CANCEL: pre-empted jobs come back by themselves only with REQUEUE" in text
    assert "run from the root of the checkout" in text


def test_report_of_a_site_without_accounting() -> None:
    text = diagnose(cluster(accounting=False))
    assert "status_command: squeue" in text
    assert "MinJobAge    300 s" in text
    assert "leave account empty" in text
    assert "MinJobAge" not in diagnose(cluster(accounting=False, age=900))


def test_machine_without_slurm_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = diagnose()
    assert "sinfo is not installed" in text
    assert "tools/local-cluster start" in text
    assert "submit from a login node" in preflight()[0]


def test_silent_controller_does_not_hang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sinfo").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(_slurm, "SECONDS", 0.2)
    assert "did not answer within" in preflight()[0]


def test_site_file_is_read_as_the_profile_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("gpus: 1\naccount: a\nbinds: [/x]\n")
    monkeypatch.setenv("TPCFM_SITE", str(tmp_path / "my.yaml"))
    monkeypatch.setenv("TPCFM_SLURM_GPUS", "4")
    monkeypatch.setenv("TPCFM_SLURM_BINDS", "ignored: lists come from the file")
    site = _slurm.read_site()
    assert (site.gpus, site.account, site.binds) == (4, "a", ["/x"])


def test_accounts_are_asked_for_by_name_also_where_the_shell_sets_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import pwd

    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    asked: list[list[str]] = []

    def answer(command: list[str]) -> Answer:
        asked.append(command)
        return Answer(0, "physics\n\nroot\n")

    assert _slurm.user_accounts(answer)[0] == {"physics", "root"}
    assert pwd.getpwuid(os.geteuid()).pw_name in asked[0]
