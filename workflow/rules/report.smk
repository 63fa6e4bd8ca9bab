# Small tables behind the pictures that need a network or the events; the report itself runs none.
rule pictures:
    input:
        picture_inputs,
    output:
        some(W.picture_manifest("{system}")),
    log:
        str(W.log("pictures", "{system}")),
    wildcard_constraints:
        system=one_of(PICTURED),
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=120,
    params:
        runs=lambda wildcards: picture_runs(PLAN, wildcards.system),
        settings=CONFIG.pictures.model_dump(exclude_defaults=True) if CONFIG.pictures else {},
        folder=folder_of_output,
    message:
        "Looking into {wildcards.system}"
    shell:
        "tpcfm pictures --plan {resources.plan:q} --system {wildcards.system} --out {params.folder:q} >{log:q} 2>&1"


# One HTML file that opens without a network.
rule report:
    input:
        report_inputs,
    output:
        page=report(
            some(W.report),
            caption="../report/page.rst",
            category="Report",
        ),
    log:
        str(W.log("report")),
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
        "tpcfm report --plan {resources.plan:q} --out {output.page:q} >{log:q} 2>&1"
