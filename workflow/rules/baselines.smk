rule baseline_run:
    input:
        cache=lambda wildcards: cache_manifest(wildcards.run),
        pretrained=lambda wildcards: pretrained_weights(wildcards.run),
    output:
        weights=ensure(f"{RESULTS}/runs/{{run}}/model.safetensors", non_empty=True),
        metrics=ensure(f"{RESULTS}/runs/{{run}}/metrics.parquet", non_empty=True),
        record=ensure(f"{RESULTS}/runs/{{run}}/run.json", non_empty=True),
    log:
        f"{RESULTS}/logs/baseline/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/baseline/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(PLAN.of_stage("baseline")) or "none",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=720,
    params:
        hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
    message:
        "Training {wildcards.run}"
    shell:
        PATIENTLY
        + "tpcfm baseline --plan {resources.plan} --run {wildcards.run} --max-minutes {resources.runtime} >{log} 2>&1"


# Every comparison system of the papers that the scale includes.
rule baselines:
    input:
        f"{RESULTS}/studies/baselines.parquet",


rule collect_baselines:
    input:
        metrics(PLAN.of_experiment("baselines")),
    output:
        ensure(f"{RESULTS}/studies/baselines.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/collect/baselines.log",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=1000,
        runtime=20,
    params:
        runs=PLAN.of_experiment("baselines"),
    message:
        "Collecting the comparison systems"
    shell:
        "tpcfm study collect --plan {resources.plan} --experiment baselines --out {output} >{log} 2>&1"
