# Raw files: simulated, or fetched from the public release.


rule simulate_lartpc:
    output:
        ensure(f"{RESULTS}/raw/{{dataset}}/part_{{part}}.h5", non_empty=True),
    log:
        f"{RESULTS}/logs/simulate/{{dataset}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate/{{dataset}}/{{part}}.tsv"
    wildcard_constraints:
        dataset=simulated("pilarnet"),
        part=r"\d{3}",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        simulation=simulation,
        index=part_index,
    message:
        "Simulating liquid-argon events, file {wildcards.part}"
    shell:
        "tpcfm simulate lartpc --out {output} --events {params.simulation[events_per_file]} --seed {params.simulation[seed]}"
        " --index {params.index} --revision {params.simulation[revision]} >{log} 2>&1"


rule simulate_collider:
    output:
        ensure(f"{RESULTS}/raw/{{dataset}}/spacepoints_{{part}}.npz", non_empty=True),
    log:
        f"{RESULTS}/logs/simulate/{{dataset}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate/{{dataset}}/{{part}}.tsv"
    wildcard_constraints:
        dataset=simulated("tpcpp"),
        part=r"\d{3}",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        simulation=simulation,
        index=part_index,
        labelled=lambda wildcards: "--labelled" if simulation(wildcards)["labelled"] else "--unlabelled",
        particles=lambda wildcards: "--particles" if simulation(wildcards)["particles"] else "--no-particles",
    message:
        "Simulating pp collisions, file {wildcards.part}"
    shell:
        "tpcfm simulate collider --out $(dirname {output}) --events {params.simulation[events_per_file]}"
        " --seed {params.simulation[seed]} --index {params.index} --source {params.simulation[source]}"
        " {params.labelled} {params.particles} >{log} 2>&1"


rule fetch:
    output:
        ensure(f"{RESULTS}/raw/{{dataset}}/{{member}}", non_empty=True),
    log:
        f"{RESULTS}/logs/fetch/{{dataset}}/{{member}}.log",
    wildcard_constraints:
        dataset=one_of(DOWNLOADED),
        member=r".+\.(h5|npz)",
    threads: 1
    resources:
        mem_mb=1000,
        runtime=720,
    params:
        release=lambda wildcards: PLAN.datasets[wildcards.dataset].layout,
        revision=lambda wildcards: PLAN.datasets[wildcards.dataset].source.get("revision", ""),
    message:
        "Fetching {wildcards.member}"
    shell:
        "tpcfm fetch member {params.release} {wildcards.member} --revision '{params.revision}' --out {output} >{log} 2>&1"
