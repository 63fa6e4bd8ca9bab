# Mask ratio, k, objective, order: each changes one thing of a base run.
rule ablations:
    input:
        f"{RESULTS}/studies/ablations.parquet",


rule collect_ablations:
    input:
        metrics(PLAN.of_experiment("ablations")),
    output:
        ensure(f"{RESULTS}/studies/ablations.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/collect/ablations.log",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=1000,
        runtime=20,
    params:
        runs=PLAN.of_experiment("ablations"),
    message:
        "Collecting the ablations"
    shell:
        "tpcfm study collect --plan {resources.plan} --experiment ablations --out {output} >{log} 2>&1"
