rule pretrain:
    input:
        cache=lambda wildcards: cache_manifest(wildcards.run),
        pretrained=lambda wildcards: pretrained_weights(wildcards.run),
    output:
        weights=ensure(f"{RESULTS}/runs/{{run}}/model.safetensors", non_empty=True),
        metrics=ensure(f"{RESULTS}/runs/{{run}}/metrics.parquet", non_empty=True),
        record=ensure(f"{RESULTS}/runs/{{run}}/run.json", non_empty=True),
    log:
        f"{RESULTS}/logs/pretrain/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(PLAN.of_stage("pretrain")) or "none",
    container:
        CONFIG.container if NODES == 1 else None
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=1440,
        processes=0,
    params:
        hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
    message:
        "Pretraining {wildcards.run}"
    shell:
        PATIENTLY
        + one_container_per_node()
        + "tpcfm pretrain --plan {resources.plan} --run {wildcards.run} --max-minutes {resources.runtime}"
        " --processes {resources.processes} >{log} 2>&1"


rule probe:
    input:
        cache=lambda wildcards: cache_manifest(wildcards.run),
        pretrained=lambda wildcards: pretrained_weights(wildcards.run),
    output:
        metrics=ensure(f"{RESULTS}/runs/{{run}}/metrics.parquet", non_empty=True),
        record=ensure(f"{RESULTS}/runs/{{run}}/run.json", non_empty=True),
    log:
        f"{RESULTS}/logs/probe/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(PLAN.of_stage("probe")) or "none",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=120,
    params:
        hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
    message:
        "Probing {wildcards.run}"
    shell:
        PATIENTLY
        + "tpcfm probe --plan {resources.plan} --run {wildcards.run} --max-minutes {resources.runtime} >{log} 2>&1"
