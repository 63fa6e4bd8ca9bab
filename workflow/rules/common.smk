# Checks the configuration and makes the run table, before any rule exists. Paths come from the workspace, with wildcards as names.
import json
import re
import shlex
import shutil

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from tpcfm.cli._progress import Progress, leave_out_chatter, summary
from tpcfm.cli._slurm import preflight
from tpcfm.cli._warm import start as start_warm
from tpcfm.cli._workflow_lock import announce, leave, release
from tpcfm.config.text import read_yaml
from tpcfm.detectors.simulations import SIMULATIONS
from tpcfm.errors import TpcfmError
from tpcfm.plan.counts import require_events
from tpcfm.plan.predictions import predictions
from tpcfm.scaling.cost import Costs
from tpcfm.scaling.devices import nearest
from tpcfm.scaling.limits import retries as estimated_retries
from tpcfm.systems.registry import make_plan, missing_imports, picture_runs, pictures
from tpcfm.systems.registry import validate as validate_config
from tpcfm.workspace import Workspace

try:
    for file in workflow.configfiles:  # Snakemake's own reading keeps the last of two equal keys in silence
        read_yaml(file)
    CONFIG = validate_config(config)
    PLAN = make_plan(CONFIG)
    require_events(PLAN, Workspace(Path(CONFIG.results)))
    PREDICTED = predictions(CONFIG.predict, PLAN, Workspace(Path(CONFIG.results)))
except TpcfmError as error:
    raise WorkflowError(str(error)) from None

if missing := missing_imports(CONFIG):
    raise WorkflowError(*missing)

W = Workspace(Path(CONFIG.results))

# A dry run plans anywhere: without the container program it says so and plans on (Snakemake itself would stop here).
# The executor is not known yet while this is read, so the command line tells whether it is a dry run.
DRY_RUN = any(a in ("-n", "--dry-run", "--dryrun") for a in sys.argv)
if DRY_RUN and not (shutil.which("apptainer") or shutil.which("singularity")):
    if workflow.deployment_settings.deployment_method:
        workflow.deployment_settings.deployment_method = frozenset()
        logger.warning("Apptainer is not installed here: the dry run leaves the containers out.")
SNAKEMAKE = Path(".snakemake")
if not DRY_RUN and release(SNAKEMAKE):
    logger.warning("The run that held this folder no longer lives: its lock is released, and its work goes on.")
# Rules get the plan file as a resource: a param would count as changed, and rerun everything, with every new plan.
PLAN_FILE = str(PLAN.write(W.plans))

COSTS = Costs(PLAN)
SIMULATED = {k: d for k, d in PLAN.datasets.items() if d.source["simulate"]}
DOWNLOADED = {k: d for k, d in PLAN.datasets.items() if d.source["download"]}


def some(path):
    """An output that must not be empty."""
    return ensure(str(path), non_empty=True)


def folder_of_output(wildcards, output):
    """Folder of the first output."""
    return str(Path(output[0]).parent)


def one_of(names):
    """Constraint of a wildcard to these names."""
    return "|".join(map(re.escape, names)) or "none"


def caches(kind):
    """Constraint of {cache} to one kind."""
    return one_of(k for k, c in PLAN.caches.items() if c.kind == kind)


def part_of_file(wildcards):
    """The part of a dataset that a simulated file is."""
    parts = PLAN.datasets[wildcards.dataset].parts.values()
    return next(p for p in parts if Path(p.raw).name == wildcards.file)


def simulation_command(wildcards):
    """Verb and options of `tpcfm simulate` for one file of a dataset."""
    dataset = PLAN.datasets[wildcards.dataset]
    simulate, simulation = dataset.source["simulate"], dataset.load_detector().simulation
    words = [simulation, "--events", simulate["events_per_file"], "--seed", simulate["seed"]]
    words += ["--index", part_of_file(wildcards).index, *SIMULATIONS[simulation].arguments(simulate)]
    return shlex.join(map(str, words))


def fetch_options(wildcards):
    """Options of `tpcfm fetch member` that no result depends on: where the list of the release and its files are."""
    dataset = PLAN.datasets[wildcards.dataset]
    mirror = CONFIG.execution.mirrors.get(dataset.load_detector().release)
    words = ["--lock", dataset.lock] if dataset.lock else []
    return shlex.join([*words, "--base-url", mirror] if mirror else words)


def split_options(wildcards):
    """Options of `tpcfm ingest` for the split of a dataset."""
    dataset = PLAN.datasets[wildcards.dataset]
    split, present = dataset.source["split"], dataset.published_splits
    lacking = "".join(f" --published {name}" for name in present) if 0 < len(present) < 3 else ""
    return f"--split-by {split['by']} --validation {split['validation']} --test {split['test']} --split-seed {split['seed']}{lacking}"


def event_tables(*datasets):
    """Event tables of datasets."""
    return [str(W.event_table(d, part)) for d in datasets for part in PLAN.datasets[d].parts]


def cache_parts(wildcards):
    """Every part of a cache."""
    parts = PLAN.datasets[PLAN.caches[wildcards.cache].dataset].parts
    return [str(W.cache_part(wildcards.cache, part)) for part in parts]


def cache_edges(wildcards):
    """Box edges of a cache of sequences."""
    edges = PLAN.caches[wildcards.cache].edges
    return [str(W.edges(edges))] if edges else []


def cache_settings(wildcards):
    """Settings of a cache as JSON, as far as they differ from the defaults."""
    return json.dumps(PLAN.caches[wildcards.cache].settings)


def cache_neighbours(wildcards):
    """Whether a cache of sequences keeps the neighbours of its points."""
    return "stored" if COSTS.stored(wildcards.cache) else "loader"


def run_inputs(wildcards):
    """What a run reads: its prepared cache, and the weights it starts from, if any."""
    entry = PLAN.runs[wildcards.run]
    weights = [str(W.weights(entry.pretrained))] if entry.pretrained else []
    return [str(W.cache_manifest(entry.cache)), *weights]


def metrics(runs):
    """Metrics tables of runs."""
    return [str(W.metrics(run)) for run in runs]


def set_resource(rule, name, default):
    """What the profile or the command line sets for a rule."""
    held = workflow.resource_settings.overwrite_resources.get(rule, {})
    value = held[name] if name in held else default
    return getattr(value, "raw", value)


def minutes_of_attempt(rule):
    """Minutes of the n-th attempt of a rule as the profile sets them; None where nothing sets them."""
    held = set_resource(rule, "runtime", None)
    if not isinstance(held, str):
        return None if held is None else lambda attempt: float(held)
    return lambda attempt: float(eval(held, {"__builtins__": {}}, {"attempt": attempt, "min": min}))


def retries_of(rule, stage):
    """How often the longest training of a stage may come back within the time limits of the profile; 0 where nothing sets them."""
    limit = minutes_of_attempt(rule)
    if limit is None:
        return 0
    gpus = int(set_resource(rule, "processes", 1) or 1) * int(set_resource(rule, "nodes", 1))
    model = str(set_resource(rule, "gpu_model", "")).strip("'\"")
    return estimated_retries(PLAN, stage, limit, nearest(model), gpus)


def allow_long_trainings():
    """Let trainings longer than one time limit come back as often as they need; without retries asked for, none is given."""
    asked = workflow.execution_settings.retries
    stages = {"pretrain": "pretrain", "finetune_run": "finetune", "baseline_run": "baseline", "probe": "probe"}
    for rule, stage in stages.items() if asked else ():
        workflow.get_rule(rule).restart_times = max(asked, retries_of(rule, stage))


# Gigabytes of disk that features of frozen backbones may take while a head trains; 0 leaves it to what is free.
SCRATCH_GB = int(set_resource("finetune_run", "scratch_gb", 0) or 0)


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
        words = f"{workflow.deployment_settings.apptainer_args} {shlex.quote(CONFIG.container)}"
        start += 'apptainer exec --home "$PWD" ' + words.replace("{", "{{").replace("}", "}}") + " "
    return start


def system_block(wildcards):
    """Settings of a system."""
    return CONFIG.systems[wildcards.system]


# How jobs run goes by resources: a changed param would run everything anew.
DEVICE = CONFIG.execution.device or ""


TOKENIZED = [k for k, s in CONFIG.systems.items() if getattr(s, "tokenizer_study", None)]
PICTURED = [k for k in CONFIG.systems if CONFIG.pictures and picture_runs(PLAN, k)]
# The serialization study takes the labelled sequences whose instances the pictures show.
SERIALIZED = [k for k in PICTURED if getattr(pictures(PLAN, k), "instances", None)]


def predicted_tables(wildcards):
    """Tables of predictions of all files of the block `predict`."""
    if PREDICTED is None:
        raise WorkflowError(
            "predict: the configuration names no model and files; add the block `predict: {model: ..., files: [...]}`"
        )
    return [str(W.predictions(PREDICTED.name, file)) for file in PREDICTED.files]


def prediction_options():
    """Options of `tpcfm predict` that the block `predict` sets."""
    block = CONFIG.predict
    if block is None:
        return ""
    words = ["--batch-points", block.batch_points, *(["--like-input"] if block.like_input else [])]
    return shlex.join(map(str, [*words, *(["--detector", block.detector] if block.detector else [])]))


def picture_inputs(wildcards):
    """Caches and weights that the pictures of a system read."""
    runs = picture_runs(PLAN, wildcards.system)
    held = {str(W.cache_manifest(PLAN.runs[run].cache)) for run in runs}
    return [*sorted(held), *(str(W.weights(run)) for run in runs)]


def shown_cache(wildcards):
    """The cache of labelled sequences whose events and box edges the serialization study takes."""
    return PLAN.caches[pictures(PLAN, wildcards.system).cache]


def report_inputs(wildcards):
    """All that the report shows."""
    held = {study.experiment for study in PLAN.studies.values()}
    wanted = [W.event_manifest(dataset) for dataset in PLAN.datasets]
    wanted += [W.cache_manifest(cache) for cache in PLAN.caches]
    wanted += metrics(sorted(PLAN.runs))
    wanted += [W.collected(name) for name in ("finetune", "ablations", "baselines") if name in held]
    wanted += [W.study_table("scaling", "fits")] if "scaling" in held else []
    wanted += [W.study_table("tokenizer", "metrics", system) for system in TOKENIZED]
    wanted += [W.study_table("serialization", "metrics", system) for system in SERIALIZED]
    wanted += [W.picture_manifest(system) for system in PICTURED]
    return [str(path) for path in wanted]


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


def jobs_to_do():
    """How many jobs this run has."""
    return sum(1 for job in workflow.dag.needrun_jobs() if not job.is_norun)


def limit_nothing_here():
    """Start as many jobs a second as there are, on this machine: with a limit, Snakemake 9 asks once more a second for each job that has ended."""
    if workflow.executor_plugin.name == "local":
        workflow.scheduler.job_rate_limiter = None


def keep_warm():
    """Have the libraries loaded once for many jobs on this machine; not for jobs in containers or on a cluster."""
    if workflow.executor_plugin.name == "local" and not workflow.deployment_settings.deployment_method:
        if jobs_to_do() > 5:
            start_warm(W.log("warm"))


def in_our_words():
    """Whether Snakemake is to leave out its rules and its progress (--quiet rules progress)."""
    return {"rules", "progress"} <= {str(kind.name).lower() for kind in workflow.output_settings.quiet or ()}


def show_progress():
    """Say where the run is."""
    if in_our_words():
        leave_out_chatter(logger)
        Progress(workflow, len(list(workflow.dag.needrun_jobs()))).start()


def show_summary():
    """Say what the run has brought, if it was to make everything."""
    if in_our_words() and W.report.is_file():
        print(*summary(PLAN, W), sep="\n")
