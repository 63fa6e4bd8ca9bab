# The workflow: raw files -> events -> caches -> models -> report. Rules lie in workflow/rules, one file per stage;
# names and the run table come from tpcfm.plan; every rule is one call of the command line.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.23")

SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)
os.environ.update(TPCFM_SOURCE=SOURCE)  # where a container finds the code


configfile: "config.yaml"


include: "workflow/rules/common.smk"


container: CONFIG.container


wildcard_constraints:
    dataset="|".join(PLAN.datasets) or "none",
    cache="|".join(PLAN.caches) or "none",
    edges="|".join(PLAN.edges) or "none",
    run="|".join(PLAN.runs) or "none",
    part="[A-Za-z0-9_-]+",


localrules:
    all,
    fetch,
    scaling_plots,
    ablations,
    finetune,
    baselines,
    collect_finetune,
    collect_ablations,
    collect_baselines,
    tokenizer_study,
    predict,


# All that the configured scale includes: the report needs every other target.
rule all:
    default_target: True
    input:
        report=str(W.report),
        mlflow=str(W.stamp("synced")),


include: "workflow/rules/simulate.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/mlflow.smk"


# Before anything is submitted: what the cluster or the image lacks, in words that say what to do.
onstart:
    stop_if_it_cannot_run()
    allow_long_trainings()
    announce(SNAKEMAKE)
    limit_nothing_here()
    keep_warm()
    show_progress()


onsuccess:
    leave(SNAKEMAKE)
    show_summary()


onerror:
    leave(SNAKEMAKE)
