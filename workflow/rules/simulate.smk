# Raw files: simulated, or fetched from the public release.


rule simulate:
    output:
        some(W.raw("{dataset}") / "{file}"),
    log:
        str(W.log("simulate", "{dataset}", "{file}")),
    wildcard_constraints:
        dataset=one_of(SIMULATED),
        file=r"[^/]+",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        command=simulation_command,
    message:
        "Simulating {output}"
    shell:
        "tpcfm simulate {params.command} --out {output:q} >{log:q} 2>&1"


# All files of public releases that the configuration takes.
rule fetch:
    input:
        [part.raw for dataset in DOWNLOADED.values() for part in dataset.parts.values()],


rule fetch_file:
    output:
        some(W.raw("{dataset}") / "{member}"),
    log:
        str(W.log("fetch", "{dataset}", "{member}")),
    wildcard_constraints:
        dataset=one_of(DOWNLOADED),
        member=r".+\.(h5|npz)",
    threads: 1
    resources:
        mem_mb=1000,
        runtime=720,
        where=fetch_options,
    params:
        release=lambda wildcards: PLAN.datasets[wildcards.dataset].load_detector().release,
        revision=lambda wildcards: PLAN.datasets[wildcards.dataset].source["revision"],
    message:
        "Fetching {wildcards.member}"
    shell:
        "tpcfm fetch member {params.release} {wildcards.member:q} --revision {params.revision:q} --out {output:q}"
        " {resources.where} >{log:q} 2>&1"
