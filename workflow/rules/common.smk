# Checks the configuration and makes the run table, before any rule exists.
import json
import shutil

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from tpcfm.cli._slurm import preflight
from tpcfm.plan.imported import import_problems
from tpcfm.config.load import validate as validate_config
from tpcfm.plan.table import make_plan
from tpcfm.plan.pictures import fm4npp_pictures, picture_runs
from tpcfm.errors import TpcfmError

try:
    CONFIG = validate_config(config)
    PLAN = make_plan(CONFIG)
except TpcfmError as error:
    raise WorkflowError(str(error)) from None

if missing := import_problems(CONFIG):
    raise WorkflowError(*missing)

RESULTS = CONFIG.results

# A dry run plans anywhere: without the container program it says so and plans on (Snakemake itself would stop here).
# The executor is not known yet while this is read, so the command line tells whether it is a dry run.
DRY_RUN = any(a in ("-n", "--dry-run", "--dryrun") for a in sys.argv)
if DRY_RUN and not (shutil.which("apptainer") or shutil.which("singularity")):
    if workflow.deployment_settings.deployment_method:
        workflow.deployment_settings.deployment_method = frozenset()
        logger.warning("Apptainer is not installed here: the dry run leaves the containers out.")
WITH_TOKENIZER_STUDY = bool(CONFIG.tokenizer_study and "polar_mae" in CONFIG.systems)
# Rules get the plan file as a resource: a param would count as changed, and rerun everything, with every new plan.
PLAN_FILE = str(PLAN.write(f"{RESULTS}/plan"))


SIMULATED = {k: d for k, d in PLAN.datasets.items() if d.source["simulate"]}
DOWNLOADED = {k: d for k, d in PLAN.datasets.items() if d.source["download"]}


def one_of(names):
    """Constraint of a wildcard to these names."""
    return "|".join(names) or "none"


def simulated(layout):
    """Constraint of {dataset} to the simulated ones of a layout."""
    return one_of(k for k, d in SIMULATED.items() if d.layout == layout)


def caches(kind):
    """Constraint of {cache} to one kind."""
    return one_of(k for k, c in PLAN.caches.items() if c.kind == kind)


def simulation(wildcards):
    """What to simulate for a dataset."""
    return PLAN.datasets[wildcards.dataset].source["simulate"]


def part_index(wildcards):
    """Running number of a part: with the seed, it fixes the events."""
    return PLAN.datasets[wildcards.dataset].parts[wildcards.part].index


def split_options(wildcards):
    """Options of `tpcfm ingest` for the split of a dataset."""
    split = PLAN.datasets[wildcards.dataset].source["split"]
    return f"--split-by {split['by']} --validation {split['validation']} --test {split['test']} --split-seed {split['seed']}"


def parts(dataset, pattern):
    """One path per part of a dataset."""
    return [pattern.format(part=part) for part in PLAN.datasets[dataset].parts]


def event_tables(*datasets):
    """Event tables of datasets."""
    return [p for d in datasets for p in parts(d, f"{RESULTS}/events/{d}/{{part}}.parquet")]


def events_of_cache(wildcards):
    """The event table that a part of a cache is made of."""
    return f"{RESULTS}/events/{PLAN.caches[wildcards.cache].dataset}/{wildcards.part}.parquet"


def cache_parts(wildcards):
    """Every part of a cache."""
    return parts(PLAN.caches[wildcards.cache].dataset, f"{RESULTS}/cache/{wildcards.cache}/{{part}}.arrow")


def fitted_edges():
    """Constraint of {edges} to those fitted here; the others are those of an imported model."""
    return one_of(k for k, e in PLAN.edges.items() if not e.model)


def imported_edges():
    """Constraint of {edges} to those of an imported model."""
    return one_of(k for k, e in PLAN.edges.items() if e.model)


def cache_edges(wildcards):
    """Bin edges of a cache of sequences."""
    edges = PLAN.caches[wildcards.cache].edges
    return [f"{RESULTS}/edges/{edges}.json"] if edges else []


def cache_settings(wildcards):
    """Settings of a cache as JSON."""
    return json.dumps(PLAN.caches[wildcards.cache].settings)


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


def set_resource(rule, name, default):
    """What the profile or the command line sets for a rule."""
    held = workflow.resource_settings.overwrite_resources.get(rule, {})
    value = held[name] if name in held else default
    return getattr(value, "raw", value)


# Over several nodes a job cannot be in one container: there is no srun inside. It starts outside, and one container per node.
NODES = int(set_resource("pretrain", "nodes", 1))


# A warning reaches the shell of a job too: it must not end before the trainer has saved, or what is left of the job is killed.
PATIENTLY = "trap : TERM USR1; "


def one_container_per_node():
    """Beginning of the command of a training over several nodes; empty on one."""
    if NODES == 1:
        return ""
    # All tasks get the same warning and stop together; two minutes are kept for the last to write.
    start = f"srun --nodes={NODES} --ntasks={NODES} --ntasks-per-node=1 --cpus-per-task={{threads}} --kill-on-bad-exit=0 --wait=120 "
    if workflow.deployment_settings.deployment_method:
        options = str(workflow.deployment_settings.apptainer_args).replace("{", "{{").replace("}", "}}")
        start += f'apptainer exec --home "$PWD" {options} {CONFIG.container} '
    return start


def picture_caches(system):
    """Caches that the pictures of a system read."""
    return sorted({cache_manifest(run) for run in picture_runs(PLAN, system)})


def picture_weights(system):
    """Weights of the runs that the pictures of a system show."""
    return [f"{RESULTS}/runs/{run}/model.safetensors" for run in picture_runs(PLAN, system)]


def coherence_cache():
    """The cache of labelled sequences whose events and box edges the serialization study takes."""
    return PLAN.caches[fm4npp_pictures(PLAN).cache]


def pictures():
    """Tables behind the pictures, of each system that has any."""
    if not CONFIG.pictures:
        return []
    tables = [f"{RESULTS}/pictures/polar_mae/attention.parquet"] if picture_runs(PLAN, "polar_mae") else []
    if picture_runs(PLAN, "fm4npp"):
        tables += [f"{RESULTS}/pictures/fm4npp/features.parquet"]
    if (found := fm4npp_pictures(PLAN)) and found.adapters:  # then there are labels
        tables += [f"{RESULTS}/studies/serialization/metrics.parquet"]
    return tables


def report_inputs(wildcards):
    """All that the report shows."""
    held = {study.experiment for study in PLAN.studies.values()}
    wanted = [f"{RESULTS}/events/{dataset}/manifest.json" for dataset in PLAN.datasets]
    wanted += [f"{RESULTS}/cache/{cache}/manifest.json" for cache in PLAN.caches]
    wanted += metrics(sorted(PLAN.runs))
    wanted += [f"{RESULTS}/studies/{n}.parquet" for n in ("finetune", "ablations", "baselines") if n in held]
    wanted += [f"{RESULTS}/studies/scaling/fits.parquet"] if "scaling" in held else []
    wanted += [f"{RESULTS}/studies/tokenizer/metrics.parquet"] if WITH_TOKENIZER_STUDY else []
    return wanted + pictures()


def stop_if_it_cannot_run():
    """Stop before the first job if the image is missing or the cluster cannot have what the site file asks for."""
    said = []
    in_container = {method.name.lower() for method in workflow.deployment_settings.deployment_method} & {"apptainer"}
    if in_container and "://" not in CONFIG.container and not Path(CONFIG.container).is_file():
        said.append(
            f"container: there is no image {CONFIG.container!r}. Build it with `python containers/build.py`"
            " (docs/how-to/containers.md), or set `container` in config.yaml to the address or path of one"
        )
    if workflow.executor_plugin.name == "slurm":
        said += preflight()
    if said:
        raise WorkflowError("Nothing was submitted:", *said)
