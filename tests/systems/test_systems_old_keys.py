"""A configuration of the first edition stops with the new spelling of every key that it uses, and the new one works."""

import re
from pathlib import Path

import pytest

from plans import ROOT, planned, setting, values
from tpcfm.config.execution import Execution, Knobs, Some
from tpcfm.config.text import read_yaml
from tpcfm.errors import ConfigError
from tpcfm.systems.old_keys import OLD
from tpcfm.systems.registry import load, validate

FIRST = Path(__file__).with_name("first_edition.yaml")


def test_the_first_editions_own_configuration_is_told_all_of_it() -> None:
    with pytest.raises(ConfigError, match="CHANGELOG") as error:
        load(FIRST)
    said = str(error.value)
    for key in (
        "systems (a list)",
        "data.lartpc.name (and 1 more)",
        "polar_mae",
        "polar_mae.pretrain.log_every (and 9 more)",
        "polar_mae.segmentation",
        "polar_mae.sparse_unet_filters",
        "fm4npp.serialization.scaling",
        "fm4npp.adapters.tracks",
        "fm4npp.baselines.point.noise_models",
        "tokenizer_study",
    ):
        assert f"  {key}: now " in said, key
    assert len(said.splitlines()) < 25, "keys of one kind are one line"


@pytest.mark.parametrize("old", OLD)
def test_every_old_key_is_refused_with_its_new_spelling(old: str) -> None:
    key = re.sub(r"^\*\.?", "systems.mine.", old).replace("*", "lartpc")
    with pytest.raises(ConfigError) as error:
        validate(values(setting(key, {"x": 1})))
    assert f"  {key}: now {OLD[old]}" in str(error.value)


@pytest.mark.parametrize("knob", Knobs.model_fields)
@pytest.mark.parametrize("training", ["polar_mae.pretrain", "fm4npp.tasks.pid.train"])
def test_how_a_job_runs_is_refused_in_a_training(training: str, knob: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(values(setting(f"systems.{training}.{knob}", 1)))
    assert f"  systems.{training}.{knob}: now execution: {{{knob}: ...}}" in str(error.value)


@pytest.mark.parametrize("spelled", ["on", '"on"'])
def test_on_is_told_to_be_dataset(spelled: str, tmp_path: Path) -> None:
    (tmp_path / "over.yaml").write_text(f"systems: {{polar_mae: {{{spelled}: lartpc}}}}")
    with pytest.raises(
        ConfigError, match=r"systems\.polar_mae\.(on|True): now dataset: KEY \(YAML reads `on:` as true\)"
    ):
        load(ROOT / "config.yaml", tmp_path / "over.yaml")


def test_no_shipped_configuration_has_an_old_key() -> None:
    for path in [ROOT / "config.yaml", *(ROOT / "workflow").glob("*/*.yaml")]:
        assert not {key for key in OLD if "*" not in key} & set(read_yaml(path)), path
    planned()


def test_the_migration_in_the_changelog_has_a_line_for_every_old_key() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    for old in OLD:
        assert f"| `{old.lstrip('*.')}` |" in changes, old


def test_all_jobs_some_jobs_and_stages_have_the_same_settings() -> None:
    assert set(Some.model_fields) == set(Knobs.model_fields)
    assert set(Knobs.model_fields) < set(Execution.model_fields)
