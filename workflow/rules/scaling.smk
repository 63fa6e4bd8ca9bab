# Scaling laws over model size, data and compute, and downstream metrics against backbone size.
rule scaling_plots:
    input:
        f"{RESULTS}/studies/scaling/fits.parquet",


rule fit_scaling:
    input:
        metrics(PLAN.of_experiment("scaling")),
    output:
        metrics=ensure(f"{RESULTS}/studies/scaling/metrics.parquet", non_empty=True),
        fits=ensure(f"{RESULTS}/studies/scaling/fits.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/scaling.log",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=2000,
        runtime=30,
    params:
        runs=PLAN.of_experiment("scaling"),
    message:
        "Fitting scaling laws"
    shell:
        "tpcfm scaling fit --plan {resources.plan} --out $(dirname {output.fits}) >{log} 2>&1"
