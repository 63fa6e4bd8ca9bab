rule finetune_run:
    input:
        cache=lambda wildcards: cache_manifest(wildcards.run),
        pretrained=lambda wildcards: pretrained_weights(wildcards.run),
    output:
        weights=ensure(f"{RESULTS}/runs/{{run}}/model.safetensors", non_empty=True),
        metrics=ensure(f"{RESULTS}/runs/{{run}}/metrics.parquet", non_empty=True),
        record=ensure(f"{RESULTS}/runs/{{run}}/run.json", non_empty=True),
    log:
        f"{RESULTS}/logs/finetune/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/finetune/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(PLAN.of_stage("finetune")) or "none",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=720,
    params:
        hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
    message:
        "Fine-tuning {wildcards.run}"
    shell:
        PATIENTLY
        + "tpcfm finetune --plan {resources.plan} --run {wildcards.run} --max-minutes {resources.runtime} >{log} 2>&1"


# Few-label segmentation and the three FM4NPP adapters, each beside its control.
rule finetune:
    input:
        f"{RESULTS}/studies/finetune.parquet",


rule collect_finetune:
    input:
        metrics(PLAN.of_experiment("finetune")),
    output:
        ensure(f"{RESULTS}/studies/finetune.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/collect/finetune.log",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=1000,
        runtime=20,
    params:
        runs=PLAN.of_experiment("finetune"),
    message:
        "Collecting the fine-tuning studies"
    shell:
        "tpcfm study collect --plan {resources.plan} --experiment finetune --out {output} >{log} 2>&1"
