"""The workflow plans every target at every scale, with and without the Slurm profile, and stops on a wrong configuration."""

import json
import re
import subprocess

import pytest

pytestmark = pytest.mark.workflow
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
    for rule in ("simulate_lartpc", "simulate_collider", "ingest", "prepare_groups", "prepare_sequences", "fit_edges"):
        assert counts[rule] >= 1
    assert counts["pretrain"] >= 7
    assert counts["finetune_run"] >= 20
    assert {"baseline_run", "probe", "fit_scaling", "report", "mlflow_sync", "tokenizer_study"} <= set(counts)


def test_the_slurm_profile_is_found_from_the_root_and_plans(checkout) -> None:
    result = checkout.snakemake("-n", "-q", "rules", "--profile", "slurm", "--", "all", scale=None)
    assert _counts(result)["total"] > 50
    assert "Using profiles slurm" in result.stdout + result.stderr


@pytest.mark.slow
def test_the_paper_scale_plans_all_published_settings(checkout) -> None:
    counts = _counts(checkout.snakemake("-n", "-q", "rules", "--", "all", scale="paper"))
    assert counts["fetch"] > 100
    assert counts["pretrain"] >= 20
    assert counts["finetune_run"] > 500


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"polar_mae": {"tokenizer": {"radius": -1}}}, ["polar_mae.tokenizer.radius", "-1", "greater than 0"]),
        ({"fm4npp": {"sise": ["m1"]}}, ["fm4npp.sise", "unknown key", "sizes"]),
        ({"fm4npp": {"pretrain": {"steps": "ten"}}}, ["fm4npp.pretrain.steps", "'ten'", "integer"]),
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


IMPORTED = {"polar_mae": {"imported": ["released-polar"]}, "fm4npp": {"imported": ["Released"]}}


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
        assert f"{key}.imported: {name!r}: there is no results/runs/{name}/config.json" in text
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
