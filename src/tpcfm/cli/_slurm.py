"""What a Slurm site answers, and the lines of ``profiles/slurm/site.yaml`` that fit it (``tpcfm doctor --slurm``).

Every question is a short read-only command, so that the workflow can ask before its first submission.
"""

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tpcfm.config.site import SITE, read_site, site_file

SECONDS = 15
MODEL = re.compile(r"[a-zA-Z0-9_.]+")
"""What the executor plugin takes as the model of a GPU; sites also have names with hyphens."""
CHECK_INTERVAL = 180
"""Longest interval (s) at which the executor asks for its jobs; a finished job must stay visible for three of them."""


@dataclass(frozen=True)
class Answer:
    """What a command said. ``code`` is -1 if the program is missing, -2 if it did not answer in time."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        """The command succeeded."""
        return self.code == 0

    @property
    def last(self) -> str:
        """Last line that is not empty."""
        return next((line.strip() for line in reversed(self.text.splitlines()) if line.strip()), "")


Ask = Callable[[list[str]], Answer]


@dataclass(frozen=True)
class Partition:
    """A partition as ``sinfo`` lists it; sizes are those of its largest node."""

    name: str
    default: bool
    up: bool
    limit: str
    nodes: int
    cpus: int
    memory_mb: int
    gpus: dict[str, int]
    """GPU model -> number per node; the model is "" where the site names none."""


def ask(command: list[str]) -> Answer:
    """Run a command and return what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return Answer(-1, f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Answer(-2, f"{command[0]} did not answer within {SECONDS} s")
    return Answer(done.returncode, done.stdout + done.stderr)


def parse_gpus(gres: str) -> dict[str, int]:
    """Return GPU model -> number per node from a list of generic resources such as ``gpu:h200:4(S:0-1),shard:8``."""
    found: dict[str, int] = {}
    for item in re.sub(r"\([^)]*\)", "", gres).split(","):
        words = item.strip().split(":")
        if words[0] == "gpu":
            number = int(words[-1]) if words[-1].isdigit() else 1
            model = words[1] if len(words) > 1 and not words[1].isdigit() else ""
            found[model] = max(found.get(model, 0), number)
    return found


def parse_limit(text: str) -> int:
    """Return a time limit in minutes (``2-00:00:00``, ``30:00``, ``infinite``); a year where there is none."""
    if not (found := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)):
        return 365 * 1440
    days, hours, minutes, _ = (int(v or 0) for v in found.groups())
    return days * 1440 + hours * 60 + minutes


def parse_partitions(text: str) -> list[Partition]:
    """Return the partitions from ``sinfo -h -o '%P|%a|%l|%D|%c|%m|%G'`` (one line per kind of node)."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        fields = [f.strip() for f in line.split("|")]
        if len(fields) != 7:
            continue
        name, state, limit, nodes, cpus, memory, gres = fields
        size = [int(re.sub(r"\D", "", v) or 0) for v in (nodes, cpus, memory)]
        new = Partition(
            name.rstrip("*"), name.endswith("*"), state == "up", limit, size[0], size[1], size[2], parse_gpus(gres)
        )
        if old := found.get(new.name):
            models = {*old.gpus, *new.gpus}
            gpus = {m: max(old.gpus.get(m, 0), new.gpus.get(m, 0)) for m in models}
            largest = max(old.cpus, new.cpus), max(old.memory_mb, new.memory_mb)
            new = Partition(new.name, new.default, old.up or new.up, limit, old.nodes + new.nodes, *largest, gpus)
        found[new.name] = new
    return list(found.values())


def partitions(ask: Ask = ask) -> tuple[list[Partition], Answer]:
    """Return the partitions of the site and the answer they were read from."""
    answer = ask(["sinfo", "-h", "-o", "%P|%a|%l|%D|%c|%m|%G"])
    return parse_partitions(answer.text) if answer.good else [], answer


def problems(site: dict[str, object], found: list[Partition], accounts: set[str]) -> list[str]:
    """Return what of a site file cannot work on a cluster, each with what to do; ``accounts`` is empty where Slurm keeps none."""
    said = []
    named = {p.name: p for p in found}
    where = "profiles/slurm/site.yaml, or TPCFM_SLURM_{} in the environment"
    for key in ("cpu_partition", "gpu_partition"):
        name = str(site.get(key, ""))
        if name not in named:
            said.append(
                f"{key}: there is no partition {name!r}; this cluster has {', '.join(named)}. Set it in {where.format(key.upper())}"
            )
        elif not named[name].up:
            said.append(
                f"{key}: the partition {name!r} is down; others: {', '.join(n for n, p in named.items() if p.up) or 'none'}"
            )
    gpu = named.get(str(site.get("gpu_partition", "")))
    if gpu:
        model, wanted = str(site.get("gpu_model", "")), int(str(site.get("gpus", 1)))
        if model and not MODEL.fullmatch(model):
            said.append(
                f"gpu_model: {model!r}: Snakemake's Slurm plugin takes letters, digits, dot and underscore only."
                " Leave it empty and choose the GPUs by partition"
            )
        held = gpu.gpus.get(model, 0) if model else max(gpu.gpus.values(), default=0)
        listed = ", ".join(f"{n} x {m or 'GPU'}" for m, n in gpu.gpus.items()) or "no GPUs"
        if wanted > held:
            said.append(
                f"gpus: {wanted} x {model or 'GPU'} on one node cannot be had in the partition {gpu.name!r}, whose nodes have {listed}."
                f" Set gpu_partition, gpu_model or gpus in {where.format('GPUS')}"
            )
        if (nodes := int(str(site.get("nodes", 1)))) > gpu.nodes:
            said.append(
                f"nodes: {nodes} nodes for one training, but the partition {gpu.name!r} has {gpu.nodes}. Set it in {where.format('NODES')}"
            )
        largest = (
            ("gpu_job_cpus", gpu.cpus, "cores"),
            ("gpu_job_mem_mb", gpu.memory_mb, "MB"),
            ("gpu_limit_mb", gpu.memory_mb, "MB"),
        )
        for key, limit, unit in largest:
            if int(str(site.get(key, 0))) > limit > 1:
                said.append(
                    f"{key}: {site[key]} is more than a node of {gpu.name!r} has ({limit} {unit}). Lower it in {where.format(key.upper())}"
                )
    for kind in ("cpu", "gpu"):
        key, partition = f"{kind}_limit_minutes", named.get(str(site.get(f"{kind}_partition", "")))
        if partition and int(str(site.get(key, 0))) > parse_limit(partition.limit):
            said.append(
                f"{key}: {site[key]} minutes is more than the partition {partition.name!r} allows ({partition.limit})."
                f" Lower it in {where.format(key.upper())}"
            )
    account = str(site.get("account", ""))
    if account and accounts and account.lower() not in {a.lower() for a in accounts}:
        said.append(
            f"account: {account!r} is not yours; yours: {', '.join(sorted(accounts))}. Set it in {where.format('ACCOUNT')}"
        )
    return said


def user_accounts(ask: Ask = ask) -> tuple[set[str], Answer]:
    """Return the accounts the user may charge (empty where there is no accounting) and the answer."""
    answer = ask(["sacctmgr", "-n", "-P", "-s", "list", "user", getpass.getuser(), "format=account"])
    return ({line.strip() for line in answer.text.splitlines() if line.strip()} if answer.good else set()), answer


def configuration(ask: Ask = ask) -> dict[str, str]:
    """Return the settings of the site, as ``scontrol show config`` prints them."""
    answer = ask(["scontrol", "show", "config"])
    pairs = [line.split("=", 1) for line in answer.text.splitlines() if "=" in line] if answer.good else []
    return {k.strip(): v.strip() for k, v in pairs}


def preflight(ask: Ask = ask) -> list[str]:
    """Return why submissions with the present site file would fail, each with what to do; [] if nothing is known to be wrong."""
    found, answer = partitions(ask)
    if not answer.good:
        return [
            f"Slurm does not answer here ({answer.last}): submit from a login node, or run without `--profile slurm`"
        ]
    return problems(read_site().model_dump(), found, user_accounts(ask)[0])


def recommend(found: list[Partition], accounts: set[str], sacct: bool) -> dict[str, object]:
    """Return lines of the site file that fit the cluster.

    CPU work goes to the default partition if jobs may run half a day there, training to the partition with most GPUs.
    """
    up = [p for p in found if p.up] or found
    without = [p for p in up if not p.gpus] or up
    long = [p for p in without if parse_limit(p.limit) >= 720] or without
    cpu = next((p for p in long if p.default), max(long, key=lambda p: p.nodes))
    with_gpus = sorted(
        (p for p in up if p.gpus), key=lambda p: ("gpu" in p.name.lower(), p.nodes * sum(p.gpus.values()))
    )
    lines: dict[str, object] = {"cpu_partition": cpu.name, "cpu_limit_minutes": min(1440, parse_limit(cpu.limit))}
    lines |= {"cpu_limit_mb": min(120000, cpu.memory_mb)}
    if with_gpus:
        best = with_gpus[-1]
        models = [m for m in best.gpus if MODEL.fullmatch(m)]
        lines |= {"gpu_partition": best.name, "gpu_model": models[0] if len(best.gpus) > 1 and models else ""}
        lines |= {"gpu_limit_minutes": min(1440, parse_limit(best.limit)), "gpu_limit_mb": min(250000, best.memory_mb)}
        cores = best.cpus // max(sum(best.gpus.values()), 1)
        lines |= {"gpu_job_cpus": max(1, min(8, cores))}
        lines |= {"gpu_job_mem_mb": max(2000, min(32000, best.memory_mb // max(sum(best.gpus.values()), 1)))}
    lines |= {"account": min(accounts) if len(accounts) == 1 else "", "status_command": "sacct" if sacct else "squeue"}
    return lines


def diagnose(ask: Ask = ask) -> str:
    """Ask the site and return the report of ``tpcfm doctor --slurm``."""
    report = ["", "Slurm"]

    def row(good: bool | None, what: str, text: str) -> None:
        report.append(f"  {'  ' if good is None else 'ok' if good else '!!'} {what:12} {text}")

    found, answer = partitions(ask)
    if not answer.good:
        row(False, "sinfo", answer.last)
        report.append(
            "     Slurm does not answer here. Log in to a submit node; to try the cluster path on one Debian or Ubuntu machine:"
        )
        report.append("     sudo tools/local-cluster start")
        return "\n".join(report)
    row(True, "sinfo", f"{len(found)} partitions")
    for p in found:
        gpus = ", ".join(f"{n} x {m or 'GPU'}" for m, n in p.gpus.items()) or "no GPU"
        size = f"{p.nodes} nodes, up to {p.cpus} cores, {p.memory_mb / 1000:.0f} GB, {gpus} each; limit {p.limit}"
        row(
            None if p.up else False,
            "",
            f"{p.name}{' (default)' if p.default else ''}{'' if p.up else ' (down)'}: {size}",
        )
    queue = ask(["squeue", "-h", "-o", "%i"])
    row(queue.good, "squeue", f"{len(queue.text.split())} jobs in the queue" if queue.good else queue.last)
    history = ask(["sacct", "-n", "-X", "-P", "-o", "jobid", "-S", "now-1hours"])
    settings = configuration(ask)
    storage = settings.get("AccountingStorageType", "")
    sacct = history.good and "none" not in storage
    row(sacct or None, "sacct", "answers" if sacct else f"no accounting here ({history.last or storage}): use squeue")
    accounts, said = user_accounts(ask)
    row(
        bool(accounts) or None,
        "accounts",
        ", ".join(sorted(accounts)) or f"none listed ({said.last or 'empty answer'}): leave account empty",
    )
    age = int(re.sub(r"\D.*", "", settings.get("MinJobAge", "")) or 0)
    if not sacct and age < 3 * CHECK_INTERVAL:
        row(
            False,
            "MinJobAge",
            f"{age} s: squeue may forget a finished job before it is seen; ask for {3 * CHECK_INTERVAL} s, or for sacct",
        )
    if (mode := settings.get("PreemptMode", "OFF")) not in ("OFF", "REQUEUE", "GANG,REQUEUE"):
        row(False, "PreemptMode", f"{mode}: pre-empted jobs come back by themselves only with REQUEUE")
    if os.environ.get("SLURM_CONF") and not Path("/etc/slurm/slurm.conf").exists():
        row(
            False,
            "SLURM_CONF",
            "is set, but jobs lose it; Slurm must also find its configuration without it (/etc/slurm/slurm.conf)",
        )
    if "SLURM_JOB_ID" in os.environ:
        row(
            False,
            "inside a job",
            f"{os.environ['SLURM_JOB_ID']}: start the workflow from a login node, not from within a job",
        )
    container = shutil.which("apptainer") or shutil.which("singularity")
    row(
        bool(container),
        "apptainer",
        container or "not found here; compute nodes need it, and this machine too for the local rules",
    )
    report += ["", "Lines for profiles/slurm/site.yaml:"]
    site = read_site().model_dump() if site_file().is_file() else {}
    for key, value in recommend(found, accounts, sacct).items():
        note = "" if not site else "   (as now)" if site.get(key) == value else f"   (now: {site.get(key)!r})"
        report.append(f"  {key}: {value if value != '' else repr('')}{note}")
    for text in problems(site, found, accounts) if site else [f"no {SITE} here: run from the root of the checkout"]:
        row(False, "site.yaml", text)
    return "\n".join(report)
