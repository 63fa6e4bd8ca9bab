"""What a Slurm site sets, once: ``profiles/slurm/site.yaml``, single lines also from the environment (``TPCFM_SLURM_<KEY>``)."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tpcfm.config.base import Block, Count, Pattern
from tpcfm.config.text import explain, read_yaml
from tpcfm.errors import ConfigError

SITE = Path("profiles/slurm/site.yaml")
PREFIX = "TPCFM_SLURM_"


class Site(Block):
    """Partitions, account, GPUs, limits; what a file does not say stands as here."""

    cpu_partition: str = Field("cpu", min_length=1)
    gpu_partition: str = Field("gpu", min_length=1)
    account: str = Field("", coerce_numbers_to_str=True, description="empty: the one that Slurm takes by itself")
    gpu_model: str = Field("", description="empty: any; otherwise as in `sinfo -o %G`, gpu:MODEL:N")
    status_command: Literal["squeue", "sacct"] = "squeue"
    gpus: Count = 1
    nodes: Count = 1
    gpu_job_cpus: Count = 8
    gpu_job_mem_mb: Count = 32000
    gpu_limit_minutes: Count = 1440
    gpu_limit_mb: Count = 250000
    scratch_gb: int = Field(1000, ge=0, description="on disk while a training runs; 0: what is free")
    cpu_limit_minutes: Count = 1440
    cpu_limit_mb: Count = 120000
    small_jobs_together: Count = 8
    small_jobs_at_once: Count = 4
    small_trainings_together: Count = 1
    binds: list[Pattern] = Field(default_factory=list, description="folders seen in the container")
    apptainer_args: str = ""


def site_file() -> Path:
    """Return the site file: ``TPCFM_SITE`` if set."""
    return Path(os.environ.get("TPCFM_SITE") or SITE)


def read_site() -> Site:
    """Read the site file and what the environment says in its place.

    Raises:
        ConfigError: names the file, or the variable, with the key, the value and what is allowed.
    """
    path = site_file()
    given = read_yaml(path)
    told = {key: f"{PREFIX}{key.upper()}" for key in Site.model_fields if key != "binds"}
    told = {key: name for key, name in told.items() if name in os.environ}
    for where, changes in ((str(path), {}), (", ".join(told.values()), {k: os.environ[n] for k, n in told.items()})):
        try:
            site = Site.model_validate({**given, **changes})
        except ValidationError as error:
            raise ConfigError(f"{where}:\n{explain(error, Site)}") from error
    return site
