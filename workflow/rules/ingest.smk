# Raw files -> event tables (Parquet), one job per file; then one manifest per dataset.
rule ingest:
    input:
        lambda wildcards: PLAN.datasets[wildcards.dataset].parts[wildcards.part].raw,
    output:
        events=some(W.event_table("{dataset}", "{part}")),
        rejected=str(W.rejected("{dataset}", "{part}")),
        statistics=str(W.event_statistics("{dataset}", "{part}")),
    log:
        str(W.log("ingest", "{dataset}", "{part}")),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        detector=lambda wildcards: PLAN.datasets[wildcards.dataset].detector,
        name=lambda wildcards: PLAN.datasets[wildcards.dataset].name,
        split=split_options,
    message:
        "Ingesting {input}"
    shell:
        "tpcfm ingest {input:q} --detector {params.detector:q} --dataset {params.name} --out {output.events:q}"
        " --rejected {output.rejected:q} --statistics {output.statistics:q} {params.split} >{log:q} 2>&1"


rule events_manifest:
    input:
        events=lambda wildcards: event_tables(wildcards.dataset),
        statistics=lambda wildcards: [
            str(W.event_statistics(wildcards.dataset, part)) for part in PLAN.datasets[wildcards.dataset].parts
        ],
    output:
        some(W.event_manifest("{dataset}")),
    log:
        str(W.log("ingest", "{dataset}", "manifest")),
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=1500,
        runtime=30,
    params:
        name=lambda wildcards: PLAN.datasets[wildcards.dataset].name,
        folder=folder_of_output,
    message:
        "Collecting the event tables of {wildcards.dataset}"
    shell:
        "tpcfm collect events --dataset {params.name} --folder {params.folder:q} --out {output:q}"
        " --plan {resources.plan:q} >{log:q} 2>&1"
