"""The workflow plans every target at every scale, with and without the Slurm profile, and stops on a wrong configuration."""

import json
import re
import shlex
import subprocess

import pytest

from more_fields import add_a_field
from plans import setting

pytestmark = pytest.mark.workflow
LABELLED = {"labels": [4], "train": {"steps": 3, "batch_size": 2}}
TARGETS = ("all", "report", "scaling_plots", "ablations", "finetune", "baselines", "tokenizer_study", "mlflow_sync")


def _counts(result: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs per rule as a dry run prints them."""
    text = result.stdout + result.stderr
    assert result.returncode == 0, text[-3000:]
    return {m[1]: int(m[2]) for m in re.finditer(r"^(\w+) +(\d+)$", text, re.M)}


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_plans_at_the_tiny_scale(checkout, target: str) -> None:
    assert _counts(checkout.snakemake("-n", "-q", "rules", "--", target))["total"] > 0


def test_the_demo_holds_every_kind_of_job(checkout) -> None:
    counts = _counts(checkout.snakemake("-n", "-q", "rules", "--", "all", scale=None))
    for rule in ("simulate", "ingest", "prepare_groups", "prepare_sequences", "fit_edges"):
        assert counts[rule] >= 1
    assert counts["pretrain"] >= 7
    assert counts["finetune_run"] >= 20
    assert {"baseline_run", "probe", "fit_scaling", "report", "mlflow_sync", "study_tokenizers"} <= set(counts)


def test_the_slurm_profile_is_found_from_the_root_and_plans(checkout) -> None:
    result = checkout.snakemake("-n", "-q", "rules", "--profile", "slurm", "--", "all", scale=None)
    assert _counts(result)["total"] > 50
    assert "Using profiles slurm" in result.stdout + result.stderr


@pytest.mark.slow
def test_the_paper_scale_plans_all_published_settings(checkout) -> None:
    counts = _counts(checkout.snakemake("-n", "-q", "rules", "--", "all", scale="paper"))
    assert counts["fetch_file"] > 100
    assert counts["pretrain"] >= 20
    assert counts["finetune_run"] > 500


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        (
            setting("systems.polar_mae.tokenizer.radius", -1),
            ["systems.polar_mae.tokenizer.radius", "-1", "greater than 0"],
        ),
        (setting("systems.fm4npp.sise", ["m1"]), ["systems.fm4npp.sise", "unknown key", "sizes"]),
        (setting("systems.fm4npp.pretrain.steps", "ten"), ["systems.fm4npp.pretrain.steps", "'ten'", "integer"]),
        (setting("systems.fm4npp.tasks.energy", LABELLED), ["systems.fm4npp.tasks", "'energy'", "track, pid, noise"]),
        (setting("data.lartpc.detector", "nowhere.yaml"), ["data.lartpc.detector", "nowhere.yaml"]),
        (setting("results", "$NOWHERE/results"), ["results: the variable $NOWHERE is not set"]),
        (setting("systems.fm4npp.True", "collider"), ["systems.fm4npp.True", "dataset: KEY"]),
        (setting("fm4npp.sizes", ["m1"]), ["  fm4npp: now systems: {fm4npp: {family: fm4npp"]),
        ({"data": {"lartpc": {"files": ["nowhere/*.h5"]}}}, ["data.lartpc", "exactly one of"]),
        ({"data": {"lartpc": {"simulate": None, "files": ["nowhere/*.h5"]}}}, ["data.lartpc.files", "matches no file"]),
    ],
)
def test_a_wrong_configuration_stops_before_the_dag(checkout, over: dict, expected: list[str]) -> None:
    result = checkout.snakemake("-n", "--", "all", over=over)
    text = result.stdout + result.stderr
    assert result.returncode != 0
    assert "Building DAG" not in text
    assert "Traceback" not in text
    for part in expected:
        assert part in text


IMPORTED = {"systems": {"polar_mae": {"imported": ["released-polar"]}, "fm4npp": {"imported": ["Released"]}}}


def test_missing_imported_weights_stop_with_key_path_and_remedy(checkout) -> None:
    result = checkout.snakemake("-n", "--", "all", over=IMPORTED)
    text = result.stdout + result.stderr
    assert result.returncode != 0
    assert "MissingInputException" not in text
    assert "Traceback" not in text
    for key, name, command in (
        ("polar_mae", "released-polar", "import-polar-mae CHECKPOINT"),
        ("fm4npp", "Released", "import-fm4npp CHECKPOINT EDGES"),
    ):
        assert f"systems.{key}.imported: {name!r}: there is no results/runs/{name}/config.json" in text
        assert f"`tpcfm {command} results/runs/{name}`" in text


def test_imported_weights_are_starts_of_the_workflow(checkout) -> None:
    without = _counts(checkout.snakemake("-n", "-q", "rules", "--", "all"))
    for name, architecture in (("released-polar", "polar_mae"), ("Released", "fm4npp")):
        folder = checkout.folder / "results/runs" / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "config.json").write_text(json.dumps({"architecture": architecture}))
    counts = _counts(checkout.snakemake("-n", "-q", "rules", "--", "all", over=IMPORTED))
    plan = checkout.plan(IMPORTED)
    assert counts["model_edges"] == 1
    assert counts["fit_edges"] == without["fit_edges"]
    assert counts["pretrain"] == without["pretrain"]
    assert counts["finetune_run"] == len(plan.of_stage("finetune")) > without["finetune_run"]
    assert counts["cache_manifest"] == without["cache_manifest"] + 1


EXECUTION = {
    "max_points": 1234,
    "log_every": 7,
    "checkpoint_every": 11,
    "workers": 3,
    "compile": True,
    "activation_checkpointing": True,
    "stages": {"pretrain": {"log_every": 9}, "probe": {"workers": 1}},
    "runs": {"*-m1-*": {"max_points": 77}},
    "neighbours": "loader",
    "device": "cpu",
}


def test_how_jobs_run_changes_no_job(checkout) -> None:
    before, after = checkout.jobs(), checkout.jobs({"execution": EXECUTION})
    assert len(before) > 60
    assert after == before


def test_a_new_setting_with_a_default_changes_no_job(checkout) -> None:
    before = checkout.jobs()
    assert len(add_a_field(checkout.folder / "src")) > 40
    assert checkout.jobs() == before


def test_neighbours_and_device_reach_the_commands(checkout) -> None:
    default = checkout.snakemake("-n", "-p", "--", "all").stdout
    chosen = checkout.snakemake("-n", "-p", "--", "all", over={"execution": EXECUTION}).stdout
    for text, neighbours, device in ((default, "stored", 0), (chosen, "loader", 1)):
        sequences = re.findall(r"tpcfm prepare sequences .*", text)
        assert sequences
        assert all(f" --neighbours {neighbours} " in command for command in sequences)
        training = re.findall(r"tpcfm (?:pretrain|finetune|baseline|probe) .*", text)
        assert len(training) > 30
        assert all(command.count(" --device cpu ") == device for command in training)


@pytest.mark.parametrize("place", ["plain", "home"])
def test_folders_and_files_of_any_name_are_quoted(checkout, monkeypatch, place: str) -> None:
    results = "my results (1)" if place == "plain" else 'it\'s "réalité" & co; $5 `x` 結果'
    data = checkout.folder / "my data (1)"
    data.mkdir()
    for name in ("a b.h5", 'l\'événement "1" & co.h5'):
        (data / name).write_bytes(b"")
    monkeypatch.setenv("HOME", str(checkout.folder))
    files = "my data (1)/*.h5" if place == "plain" else "~/my data (1)/*.h5"
    over = {"results": results, "data": {"lartpc": {"simulate": None, "files": [files]}}}
    text = checkout.snakemake("-n", "-p", "--", "all", over=over).stdout
    commands = [shlex.split(line) for line in re.findall(r"^Shell command: (.*)", text, re.M)]
    assert len(commands) > 60
    held = {word for words in commands for word in words}
    for part in ("/raw/", "/events/", "/cache/", "/edges/", "/plan/", "/studies/", "/logs/", "/report/", "/mlflow/"):
        assert any(word.removeprefix(">").startswith(results + part) for word in held), part
    prefix = "" if place == "plain" else f"{checkout.folder}/"
    for name in ("a b.h5", 'l\'événement "1" & co.h5'):
        assert f"{prefix}my data (1)/{name}" in held
    told = {word for word in held if ("results" in word or "réalité" in word) and not word.startswith("--")}
    assert all(results in word for word in told), "no path is cut in two"


def test_two_systems_of_one_family_plan_on_their_datasets(checkout) -> None:
    second = {
        "family": "fm4npp",
        "dataset": "more",
        "sizes": ["m1"],
        "model": {"depth": 2},
        "start": "fm4npp",
        "pretrain": {"steps": 4, "batch_size": 2},
        "tasks": {"track": LABELLED},
    }
    simulate = {"files": 1, "events_per_file": 40, "source": "gun"}
    more = {"detector": "sphenix", "simulate": simulate, "split": {"validation": 0.2, "test": 0.2}}
    over = {"data": {"more": more}, "systems": {"second": second}}
    before, after = checkout.jobs(), checkout.jobs(over)
    # The pages of everything depend on more runs; nothing else changes.
    assert {name for name in before if name not in after} <= {name for name in before if "study collect" in name}
    names = " ".join(after.values())
    assert "second-pretrain-m1-s0-" in names
    assert "second-track-m1-pretrained-4-s0-" in names
