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
