# Files that a trained model labels: one job per file, so that a cluster works on many at once. The block `predict` names both.
rule predict:
    input:
        predicted_tables,


rule predict_file:
    input:
        file=lambda wildcards: PREDICTED.files[wildcards.file],
        weights=[PREDICTED.weights] if PREDICTED and PREDICTED.weights else [],
    output:
        some(W.predictions(PREDICTED.name if PREDICTED else "none", "{file}")),
    log:
        str(W.log("predict", PREDICTED.name if PREDICTED else "none", "{file}")),
    wildcard_constraints:
        file=one_of(PREDICTED.files if PREDICTED else []),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        device=DEVICE,
    params:
        model=PREDICTED.model if PREDICTED else "",
        options=prediction_options(),
        folder=folder_of_output,
        results=lambda wildcards: CONFIG.results,
    message:
        "Labelling {wildcards.file}"
    shell:
        "tpcfm predict {params.model:q} {input.file:q} --out {params.folder:q} --overwrite --results {params.results:q}"
        + " --workers {threads} {params.options}"
        + (" --device {resources.device:q}" if DEVICE else "")
        + " >{log:q} 2>&1"
