# Small tables behind the pictures that need a network or the events; the report itself runs none.


rule pictures_polar_mae:
    input:
        cache=lambda wildcards: picture_caches("polar_mae"),
        weights=lambda wildcards: picture_weights("polar_mae"),
    output:
        tokens=ensure(f"{RESULTS}/pictures/polar_mae/attention_tokens.parquet", non_empty=True),
        attention=ensure(f"{RESULTS}/pictures/polar_mae/attention.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/pictures/polar_mae.log",
    benchmark:
        f"{RESULTS}/benchmarks/pictures/polar_mae.tsv"
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=60,
    params:
        runs=picture_runs(PLAN, "polar_mae"),
    message:
        "Looking into PoLAr-MAE"
    shell:
        "tpcfm pictures --plan {resources.plan} --system polar_mae --out $(dirname {output.tokens}) >{log} 2>&1"


rule pictures_fm4npp:
    input:
        cache=lambda wildcards: picture_caches("fm4npp"),
        weights=lambda wildcards: picture_weights("fm4npp"),
    output:
        features=ensure(f"{RESULTS}/pictures/fm4npp/features.parquet", non_empty=True),
        grouping=ensure(f"{RESULTS}/pictures/fm4npp/grouping.parquet", non_empty=True),
        paths=ensure(f"{RESULTS}/pictures/fm4npp/paths.parquet", non_empty=True),
        boxes=ensure(f"{RESULTS}/pictures/fm4npp/boxes.parquet", non_empty=True),
        pairs=ensure(f"{RESULTS}/pictures/fm4npp/pairs.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/pictures/fm4npp.log",
    benchmark:
        f"{RESULTS}/benchmarks/pictures/fm4npp.tsv"
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=120,
    params:
        runs=picture_runs(PLAN, "fm4npp"),
        settings=CONFIG.pictures.model_dump() if CONFIG.pictures else {},
    message:
        "Looking into FM4NPP"
    shell:
        "tpcfm pictures --plan {resources.plan} --system fm4npp --out $(dirname {output.boxes}) >{log} 2>&1"


# One HTML file that opens without a network.
rule report:
    input:
        report_inputs,
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
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=60,
    params:
        runs=PLAN.hash,
    message:
        "Writing the report"
    shell:
        "tpcfm report --plan {resources.plan} --out {output.page} >{log} 2>&1"
