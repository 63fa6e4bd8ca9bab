# The tracking store is filled from the run folders by one writer; it may be synced again at any time.
localrules:
    mlflow_init,
    mlflow_sync,


rule mlflow_init:
    output:
        str(W.stamp("initialised")),
    log:
        str(W.log("mlflow_init")),
    threads: 1
    params:
        results=lambda wildcards: CONFIG.results,
    message:
        "Preparing the MLflow store"
    shell:
        "tpcfm mlflow init --results {params.results:q} --stamp {output:q} >{log:q} 2>&1"


rule mlflow_sync:
    input:
        store=str(W.stamp("initialised")),
        page=str(W.report),
        metrics=metrics(sorted(PLAN.runs)),
    output:
        str(W.stamp("synced")),
    log:
        str(W.log("mlflow_sync")),
    threads: 1
    resources:
        plan=PLAN_FILE,
    params:
        limit=CONFIG.mlflow.max_artifact_mib,
    message:
        "Filling the MLflow store"
    shell:
        "tpcfm mlflow sync --plan {resources.plan:q} --max-artifact-mib {params.limit} --stamp {output:q} >{log:q} 2>&1"
