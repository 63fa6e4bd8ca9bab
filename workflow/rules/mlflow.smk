# The tracking store is filled from the run folders by one writer; it may be synced again at any time.
localrules:
    mlflow_init,
    mlflow_sync,


rule mlflow_init:
    output:
        f"{RESULTS}/mlflow/initialised.json",
    log:
        f"{RESULTS}/logs/mlflow_init.log",
    threads: 1
    message:
        "Preparing the MLflow store"
    shell:
        "tpcfm mlflow init --results $(dirname $(dirname {output})) --stamp {output} >{log} 2>&1"


rule mlflow_sync:
    input:
        store=f"{RESULTS}/mlflow/initialised.json",
        page=f"{RESULTS}/report/index.html",
        metrics=metrics(sorted(PLAN.runs)),
    output:
        f"{RESULTS}/mlflow/synced.json",
    log:
        f"{RESULTS}/logs/mlflow_sync.log",
    threads: 1
    resources:
        plan=PLAN_FILE,
    params:
        limit=CONFIG.mlflow.max_artifact_mib,
    message:
        "Filling the MLflow store"
    shell:
        "tpcfm mlflow sync --plan {resources.plan} --max-artifact-mib {params.limit} --stamp {output} >{log} 2>&1"
