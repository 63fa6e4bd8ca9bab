# Scaling laws over model size, data and compute, downstream metrics against backbone size, the parameterization.
rule scaling_plots:
    input:
        fits=f"{RESULTS}/studies/scaling/fits.parquet",
        page=f"{RESULTS}/studies/scaling/index.html",


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


# The scaling section of the report as a page of its own, so that it can be had without the rest.
rule draw_scaling:
    input:
        fits=f"{RESULTS}/studies/scaling/fits.parquet",
    output:
        ensure(f"{RESULTS}/studies/scaling/index.html", non_empty=True),
    log:
        f"{RESULTS}/logs/draw_scaling.log",
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=2000,
        runtime=30,
    message:
        "Drawing the scaling studies"
    shell:
        "tpcfm scaling draw --plan {resources.plan} --folder $(dirname {input.fits}) --out {output} >{log} 2>&1"
