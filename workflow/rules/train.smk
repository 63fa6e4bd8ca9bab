# Every training is one call for one entry of the run table; the stages differ in what they may take, which the profile says.
# Memory and time are for one attempt on a laptop.
STAGES = {"pretrain": 1440, "finetune": 720, "baseline": 720, "probe": 120}
RULE = {"pretrain": "pretrain", "finetune": "finetune_run", "baseline": "baseline_run", "probe": "probe"}

for stage, minutes in STAGES.items():

    rule:
        name:
            RULE[stage]
        input:
            run_inputs,
        output:
            **({} if stage == "probe" else {"weights": some(W.weights("{run}"))}),
            metrics=some(W.metrics("{run}")),
            record=some(W.record("{run}")),
        log:
            str(W.log(stage, "{run}")),
        benchmark:
            str(W.benchmark(stage, "{run}"))
        wildcard_constraints:
            run=one_of(PLAN.of_stage(stage)),
        container:
            CONFIG.container if stage != "pretrain" or NODES == 1 else None
        threads: 1
        resources:
            plan=PLAN_FILE,
            mem_mb=4000,
            runtime=minutes,
            processes=0,
            device=DEVICE,
        params:
            hash=lambda wildcards: PLAN.runs[wildcards.run].hash,
        message:
            "{wildcards.run}"
        shell:
            PATIENTLY
            + (one_container_per_node() if stage == "pretrain" else "")
            + f"tpcfm {stage} --plan {{resources.plan:q}} --run {{wildcards.run}} --max-minutes {{resources.runtime}}"
            + (" --processes {resources.processes}" if stage == "pretrain" else "")
            + (" --device {resources.device:q}" if DEVICE else "")
            + " >{log:q} 2>&1"
