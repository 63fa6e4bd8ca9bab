# One HTML file that opens without a network.
def _report_inputs(wildcards):
    wanted = [f"{RESULTS}/events/{dataset}/manifest.json" for dataset in PLAN.datasets]
    wanted += [f"{RESULTS}/cache/{cache}/manifest.json" for cache in PLAN.caches]
    wanted += metrics(sorted(PLAN.runs))
    held = {study.experiment for study in PLAN.studies.values()}
    wanted += [
        f"{RESULTS}/studies/{name}.parquet"
        for name in ("finetune", "ablations", "baselines")
        if name in held
    ]
    wanted += [f"{RESULTS}/studies/scaling/fits.parquet"] if "scaling" in held else []
    wanted += (
        [f"{RESULTS}/studies/tokenizer/metrics.parquet"]
        if CONFIG.tokenizer_study and CONFIG.polar_mae
        else []
    )
    return wanted


rule report:
    input:
        _report_inputs,
    output:
        page=report(
            ensure(f"{RESULTS}/report/index.html", non_empty=True),
            caption="../report/page.rst",
            category="Report",
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        runs=PLAN.hash,
    message:
        "Writing the report"
    shell:
        "tpcfm report --plan {PLAN_FILE} --out {output.page} >{log} 2>&1"
