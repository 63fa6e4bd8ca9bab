# Checks the configuration and makes the run table, before any rule exists.
import json

from snakemake.exceptions import WorkflowError

from tpcfm.config.load import validate as validate_config
from tpcfm.config.plan import make_plan
from tpcfm.errors import TpcfmError

try:
    CONFIG = validate_config(config)
    PLAN = make_plan(CONFIG)
except TpcfmError as error:
    raise WorkflowError(str(error)) from None

RESULTS = CONFIG.results
PLAN_FILE = str(PLAN.write(f"{RESULTS}/plan"))


def parts(dataset, pattern):
    """One path per part of a dataset."""
    return [pattern.format(part=part) for part in PLAN.datasets[dataset].parts]


def cache_manifest(run):
    """The prepared cache of a run."""
    return f"{RESULTS}/cache/{PLAN.runs[run].cache}/manifest.json"


def pretrained_weights(run):
    """The weights a run starts from, if any."""
    pretrained = PLAN.runs[run].pretrained
    return [f"{RESULTS}/runs/{pretrained}/model.safetensors"] if pretrained else []


def metrics(runs):
    """Metrics tables of runs."""
    return [f"{RESULTS}/runs/{run}/metrics.parquet" for run in runs]


def outputs(*names):
    """Outputs of a rule that trains; the training state is not among them (see docs/reference/resume.md)."""
    return [f"{RESULTS}/runs/{{run}}/{name}" for name in names]
