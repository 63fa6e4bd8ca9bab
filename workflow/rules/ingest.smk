# Raw files -> event tables (Parquet), one job per file; then one manifest per dataset.
rule ingest:
    input:
        lambda wildcards: PLAN.datasets[wildcards.dataset].parts[wildcards.part].raw,
    output:
        events=ensure(f"{RESULTS}/events/{{dataset}}/{{part}}.parquet", non_empty=True),
        rejected=f"{RESULTS}/events/{{dataset}}/{{part}}.rejected.parquet",
        statistics=f"{RESULTS}/events/{{dataset}}/{{part}}.statistics.json",
    log:
        f"{RESULTS}/logs/ingest/{{dataset}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ingest/{{dataset}}/{{part}}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        layout=lambda wildcards: PLAN.datasets[wildcards.dataset].layout,
        name=lambda wildcards: PLAN.datasets[wildcards.dataset].name,
        split=split_options,
    message:
        "Ingesting {input}"
    shell:
        "tpcfm ingest {input} --layout {params.layout} --dataset {params.name} --out {output.events}"
        " --rejected {output.rejected} --statistics {output.statistics} {params.split} >{log} 2>&1"


rule events_manifest:
    input:
        events=lambda wildcards: event_tables(wildcards.dataset),
        statistics=lambda wildcards: parts(
            wildcards.dataset,
            f"{RESULTS}/events/{wildcards.dataset}/{{part}}.statistics.json",
        ),
    output:
        ensure(f"{RESULTS}/events/{{dataset}}/manifest.json", non_empty=True),
    log:
        f"{RESULTS}/logs/ingest/{{dataset}}/manifest.log",
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        name=lambda wildcards: PLAN.datasets[wildcards.dataset].name,
    message:
        "Collecting the event tables of {wildcards.dataset}"
    shell:
        "tpcfm collect events --dataset {params.name} --folder $(dirname {output}) --out {output} >{log} 2>&1"
