# Every training is one call for one entry of the run table; the stages differ in what they may take, which the profile says.
# Memory and time are for one attempt on a laptop.
rule pretrain:
    input:
        run_inputs,
    output:
        weights=some(W.weights("{run}")),
        metrics=some(W.metrics("{run}")),
        record=some(W.record("{run}")),
    log:
        str(W.log("pretrain", "{run}")),
    wildcard_constraints:
        run=one_of(PLAN.of_stage("pretrain")),
    container:
        CONFIG.container if NODES == 1 else None
    threads: 1
    resources:
        plan=PLAN_FILE,
        mem_mb=4000,
        runtime=1440,
        processes=0,
        device=DEVICE,
    params:
        hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
    message:
        "{wildcards.run}"
    shell:
        PATIENTLY
        + one_container_per_node()
        + "tpcfm pretrain --plan {resources.plan:q} --run {wildcards.run} --max-minutes {resources.runtime}"
        + " --processes {resources.processes}"
        + (" --device {resources.device:q}" if DEVICE else "")
        + " >{log:q} 2>&1"


# The shell command is put together when a job runs, after the loop: what differs between the stages is a param.
for stage, name, minutes in (
    ("finetune", "finetune_run", 720),
    ("baseline", "baseline_run", 720),
    ("probe", "probe", 120),
):

    rule:
        name:
            name
        input:
            run_inputs,
        output:
            **({} if stage == "probe" else {"weights": some(W.weights("{run}"))}),
            metrics=some(W.metrics("{run}")),
            record=some(W.record("{run}")),
        log:
            str(W.log(stage, "{run}")),
        wildcard_constraints:
            run=one_of(PLAN.of_stage(stage)),
        threads: 1
        resources:
            plan=PLAN_FILE,
            mem_mb=4000,
            runtime=minutes,
            scratch_gb=SCRATCH_GB if stage == "finetune" else 0,
            device=DEVICE,
        params:
            hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
            stage=stage,
        message:
            "{wildcards.run}"
        shell:
            PATIENTLY
            + ("TPCFM_SCRATCH_GB={resources.scratch_gb} " if SCRATCH_GB else "")
            + "tpcfm {params.stage} --plan {resources.plan:q} --run {wildcards.run} --max-minutes {resources.runtime}"
            + (" --device {resources.device:q}" if DEVICE else "")
            + " >{log:q} 2>&1"
