# Event tables -> memory-mapped caches: groups for PoLAr-MAE, serialised sequences with neighbour targets for FM4NPP.


rule prepare_groups:
    input:
        events_of_cache,
    output:
        ensure(f"{RESULTS}/cache/{{cache}}/{{part}}.arrow", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{cache}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{cache}}/{{part}}.tsv"
    wildcard_constraints:
        cache=caches("groups"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        settings=cache_settings,
    message:
        "Grouping {input}"
    shell:
        "tpcfm prepare groups {input} --out {output} --config {params.settings:q} >{log} 2>&1"


rule fit_edges:
    input:
        lambda wildcards: f"{RESULTS}/events/{PLAN.edges[wildcards.edges].dataset}/manifest.json",
    output:
        ensure(f"{RESULTS}/edges/{{edges}}.json", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{edges}}.log",
    wildcard_constraints:
        edges=fitted_edges(),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        tables=lambda wildcards: event_tables(PLAN.edges[wildcards.edges].dataset),
        settings=lambda wildcards: json.dumps(PLAN.edges[wildcards.edges].serialization),
    message:
        "Fitting the bin edges of the serialization"
    shell:
        "tpcfm prepare fit-edges {params.tables} --out {output} --config {params.settings:q} >{log} 2>&1"


# Imported weights come with the bin edges of their training.
rule model_edges:
    input:
        lambda wildcards: f"{RESULTS}/runs/{PLAN.edges[wildcards.edges].model}/config.json",
    output:
        ensure(f"{RESULTS}/edges/{{edges}}.json", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{edges}}.log",
    wildcard_constraints:
        edges=imported_edges(),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    message:
        "Taking the bin edges of {input}"
    shell:
        "tpcfm prepare model-edges $(dirname {input}) --out {output} >{log} 2>&1"


rule prepare_sequences:
    input:
        events=events_of_cache,
        edges=cache_edges,
    output:
        ensure(f"{RESULTS}/cache/{{cache}}/{{part}}.arrow", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{cache}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{cache}}/{{part}}.tsv"
    wildcard_constraints:
        cache=caches("sequences"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        settings=cache_settings,
    message:
        "Serialising {input.events}"
    shell:
        "tpcfm prepare sequences {input.events} --edges {input.edges} --out {output} --config {params.settings:q} >{log} 2>&1"


rule cache_manifest:
    input:
        parts=cache_parts,
        edges=cache_edges,
    output:
        ensure(f"{RESULTS}/cache/{{cache}}/manifest.json", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{cache}}/manifest.log",
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        settings=cache_settings,
        edges=lambda wildcards, input: f"--edges {input.edges}" if input.edges else "",
    message:
        "Collecting the cache {wildcards.cache}"
    shell:
        "tpcfm prepare manifest --cache {wildcards.cache} --folder $(dirname {output}) --config {params.settings:q}"
        " {params.edges} --out {output} >{log} 2>&1"


rule tokenizer_study:
    input:
        lambda wildcards: [
            f"{RESULTS}/events/{k}/manifest.json" for k, d in PLAN.datasets.items() if d.layout == "pilarnet"
        ],
    output:
        metrics=ensure(f"{RESULTS}/studies/tokenizer/metrics.parquet", non_empty=True),
        study=f"{RESULTS}/studies/tokenizer/study.parquet",
        sizes=f"{RESULTS}/studies/tokenizer/group_sizes.parquet",
        throughput=f"{RESULTS}/studies/tokenizer/throughput.parquet",
    log:
        f"{RESULTS}/logs/tokenizer_study.log",
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        tables=event_tables(*[k for k, d in PLAN.datasets.items() if d.layout == "pilarnet"]),
        settings=json.dumps(CONFIG.tokenizer_study.model_dump() if CONFIG.tokenizer_study else {}),
    message:
        "Comparing tokenizers"
    shell:
        "tpcfm tokenizer-study {params.tables} --config {params.settings:q} --out $(dirname {output.metrics}) >{log} 2>&1"


# How well each order of the points keeps tracks together, on labelled events.
rule serialization_study:
    input:
        tables=lambda wildcards: event_tables(coherence_cache().dataset),
        edges=lambda wildcards: f"{RESULTS}/edges/{coherence_cache().edges}.json",
    output:
        ensure(f"{RESULTS}/studies/serialization/metrics.parquet", non_empty=True),
    log:
        f"{RESULTS}/logs/serialization_study.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        events=CONFIG.pictures.serialization_events if CONFIG.pictures else 0,
    message:
        "Comparing serializations"
    shell:
        "tpcfm serialization-study {input.tables} --edges {input.edges} --max-events {params.events}"
        " --out $(dirname {output}) >{log} 2>&1"
