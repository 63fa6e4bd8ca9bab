# One thing changed of a base run; heads on few labels beside their controls; every baseline that the scale includes.
COLLECTED = {"ablations": "ablations", "finetune": "fine-tuning studies", "baselines": "baselines"}

for experiment, what in COLLECTED.items():

    rule:
        name:
            f"collect_{experiment}"
        input:
            metrics(PLAN.of_experiment(experiment)),
        output:
            some(W.collected(experiment)),
        log:
            str(W.log("collect", experiment)),
        threads: 1
        resources:
            plan=PLAN_FILE,
            mem_mb=1000,
            runtime=20,
        params:
            runs=PLAN.of_experiment(experiment),
            experiment=experiment,
        message:
            f"Collecting the {what}"
        shell:
            "tpcfm study collect --plan {resources.plan:q} --experiment {params.experiment} --out {output:q} >{log:q} 2>&1"

    rule:
        name:
            experiment
        input:
            str(W.collected(experiment)),


# Scaling laws over model size, data and compute, downstream metrics against backbone size, the parameterization.
rule scaling_plots:
    input:
        fits=str(W.study_table("scaling", "fits")),
        page=str(W.scaling_page),


rule fit_scaling:
    input:
        metrics(PLAN.of_experiment("scaling")),
    output:
        metrics=some(W.study_table("scaling", "metrics")),
        fits=some(W.study_table("scaling", "fits")),
    log:
        str(W.log("scaling")),
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=2000,
        runtime=30,
    params:
        runs=PLAN.of_experiment("scaling"),
        folder=folder_of_output,
    message:
        "Fitting scaling laws"
    shell:
        "tpcfm scaling fit --plan {resources.plan:q} --out {params.folder:q} >{log:q} 2>&1"


# The scaling section of the report as a page of its own, so that it can be had without the rest.
rule draw_scaling:
    input:
        fits=str(W.study_table("scaling", "fits")),
    output:
        some(W.scaling_page),
    log:
        str(W.log("draw_scaling")),
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=2000,
        runtime=30,
    params:
        folder=folder_of_output,
    message:
        "Drawing the scaling studies"
    shell:
        "tpcfm scaling draw --plan {resources.plan:q} --folder {params.folder:q} --out {output:q} >{log:q} 2>&1"
