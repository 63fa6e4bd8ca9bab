# Event tables -> memory-mapped caches: groups, or serialised sequences with neighbour targets.


rule prepare_groups:
    input:
        lambda wildcards: str(W.event_table(PLAN.caches[wildcards.cache].dataset, wildcards.part)),
    output:
        some(W.cache_part("{cache}", "{part}")),
    log:
        str(W.log("prepare", "{cache}", "{part}")),
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
        "tpcfm prepare groups {input:q} --out {output:q} --config {params.settings:q} >{log:q} 2>&1"


rule fit_edges:
    input:
        lambda wildcards: str(W.event_manifest(PLAN.edges[wildcards.edges].dataset)),
    output:
        some(W.edges("{edges}")),
    log:
        str(W.log("prepare", "{edges}")),
    wildcard_constraints:
        edges=one_of(k for k, e in PLAN.edges.items() if not e.model),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        tables=lambda wildcards: event_tables(PLAN.edges[wildcards.edges].dataset),
        settings=lambda wildcards: json.dumps(PLAN.edges[wildcards.edges].serialization),
    message:
        "Fitting the box edges of the serialization"
    shell:
        "tpcfm prepare fit-edges {params.tables:q} --out {output:q} --config {params.settings:q} >{log:q} 2>&1"


# Imported weights come with the box edges of their training.
rule model_edges:
    input:
        lambda wildcards: str(W.model_config(PLAN.edges[wildcards.edges].model)),
    output:
        some(W.edges("{edges}")),
    log:
        str(W.log("prepare", "{edges}")),
    wildcard_constraints:
        edges=one_of(k for k, e in PLAN.edges.items() if e.model),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        model=lambda wildcards, input: str(Path(input[0]).parent),
    message:
        "Taking the box edges of {input}"
    shell:
        "tpcfm prepare model-edges {params.model:q} --out {output:q} >{log:q} 2>&1"


rule prepare_sequences:
    input:
        events=lambda wildcards: str(W.event_table(PLAN.caches[wildcards.cache].dataset, wildcards.part)),
        edges=cache_edges,
    output:
        some(W.cache_part("{cache}", "{part}")),
    log:
        str(W.log("prepare", "{cache}", "{part}")),
    wildcard_constraints:
        cache=caches("sequences"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
        neighbours=cache_neighbours,
    params:
        settings=cache_settings,
    message:
        "Serialising {input.events}"
    shell:
        "tpcfm prepare sequences {input.events:q} --edges {input.edges:q} --out {output:q} --config {params.settings:q}"
        " --neighbours {resources.neighbours} >{log:q} 2>&1"


rule cache_manifest:
    input:
        parts=cache_parts,
        edges=cache_edges,
    output:
        some(W.cache_manifest("{cache}")),
    log:
        str(W.log("prepare", "{cache}", "manifest")),
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        settings=cache_settings,
        folder=folder_of_output,
        edges=lambda wildcards, input: ["--edges", *input.edges] if input.edges else [],
    message:
        "Collecting the cache {wildcards.cache}"
    shell:
        "tpcfm prepare manifest --cache {wildcards.cache} --folder {params.folder:q} --config {params.settings:q}"
        " {params.edges:q} --out {output:q} >{log:q} 2>&1"


rule tokenizer_study:
    input:
        [str(W.study_table("tokenizer", "metrics", system)) for system in TOKENIZED],


rule study_tokenizers:
    input:
        lambda wildcards: str(W.event_manifest(PLAN.caches[pictures(PLAN, wildcards.system).cache].dataset)),
    output:
        metrics=some(W.study_table("tokenizer", "metrics", "{system}")),
        study=str(W.study_table("tokenizer", "study", "{system}")),
        sizes=str(W.study_table("tokenizer", "group_sizes", "{system}")),
        throughput=str(W.study_table("tokenizer", "throughput", "{system}")),
    log:
        str(W.log("tokenizer_study", "{system}")),
    wildcard_constraints:
        system=one_of(TOKENIZED),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        tables=lambda wildcards: event_tables(PLAN.caches[pictures(PLAN, wildcards.system).cache].dataset),
        settings=lambda wildcards: system_block(wildcards).tokenizer_study.model_dump_json(exclude_defaults=True),
        folder=folder_of_output,
    message:
        "Comparing tokenizers for {wildcards.system}"
    shell:
        "tpcfm tokenizer-study {params.tables:q} --config {params.settings:q} --out {params.folder:q} >{log:q} 2>&1"


# How well each order of the points keeps instances together, on labelled events.
rule serialization_study:
    input:
        tables=lambda wildcards: event_tables(shown_cache(wildcards).dataset),
        edges=lambda wildcards: str(W.edges(shown_cache(wildcards).edges)),
    output:
        some(W.study_table("serialization", "metrics", "{system}")),
    log:
        str(W.log("serialization_study", "{system}")),
    wildcard_constraints:
        system=one_of(SERIALIZED),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        events=CONFIG.pictures.serialization_events if CONFIG.pictures else 0,
        label=lambda wildcards: pictures(PLAN, wildcards.system).instances,
        folder=folder_of_output,
    message:
        "Comparing serializations for {wildcards.system}"
    shell:
        "tpcfm serialization-study {input.tables:q} --edges {input.edges:q} --label {params.label} --max-events {params.events}"
        " --out {params.folder:q} >{log:q} 2>&1"
