"""A wrong key, type or combination stops with a message naming key, value and what is allowed; overlays merge by key."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from plans import ROOT, setting, values
from tpcfm.config.text import explain, merge, read_yaml
from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError
from tpcfm.systems.fm4npp.system import Fm4nppSystem
from tpcfm.systems.registry import Configuration, load, validate

SCALES = sorted((ROOT / "workflow" / "scales").glob("*.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "systems.polar_mae.tokenizer.radios",
            5,
            ["  systems.polar_mae.tokenizer.radios: unknown key", "allowed here", "radius", "5"],
        ),
        ("systems.polar_mae.pretrain.steps", "many", ["  systems.polar_mae.pretrain.steps: ", "'many'", "integer"]),
        ("systems.polar_mae.mask_ratio", 1.5, ["  systems.polar_mae.mask_ratio: ", "less than 1", "1.5"]),
        ("systems.fm4npp.sizes", ["m9"], ["  systems.fm4npp.sizes.0: ", "m1", "m6", "m9"]),
        ("systems.fm4npp.sise", ["m1"], ["  systems.fm4npp.sise: unknown key", "sizes"]),
        ("systems.fm4npp.family", "other", ["systems.fm4npp: ", "'other'", "'polar_mae', 'fm4npp'"]),
        ("systems.fm4npp.adapters.sizes", ["m6"], ["systems.fm4npp: adapters.sizes", "m6", "not in sizes"]),
        ("systems.fm4npp.ablations.k", [64], ["systems.fm4npp: ablations.k", "64", "targets.k"]),
        ("systems.fm4npp.ablations.tasks", ["tracks"], ["ablations.tasks", "tracks", "track, pid, noise"]),
        ("systems.fm4npp.baselines.classes.only", {"pod": ["sage"]}, ["baselines.classes: only", "pod", "pid, noise"]),
        ("systems.My-System", {"family": "fm4npp"}, ["systems.My-System", "^[a-z][a-z0-9_]*$"]),
        ("data.lartpc.files", ["x.h5"], ["data.lartpc: ", "exactly one of simulate, files, download"]),
        ("systems.polar_mae.pretrain.warmup_steps", 10**6, ["warmup_steps", "smaller than steps"]),
        ("data.collider.split.test", 0.99, ["data.collider.split: ", "no training events"]),
        ("data.collider", None, ["systems.fm4npp.dataset: there is no dataset 'collider'", "lartpc"]),
        ("execution.wokers", 3, ["execution.wokers: unknown key", "workers"]),
        ("execution.stages", {"pretrian": {"workers": 1}}, ["execution.stages.pretrian", "'pretrain'"]),
        ("execution.runs", {"*": {"steps": 1}}, ["execution.runs.*.steps: unknown key", "max_points"]),
        ("execution.device", "gpu", ["execution.device", "gpu", "cpu|cuda"]),
    ],
)
def test_the_message_names_key_value_and_what_is_allowed(key: str, value: Any, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        validate(values(setting(key, value)))
    for text in expected:
        assert text in str(error.value)
    assert "family': 'fm4npp" not in str(error.value), "a whole block is not printed"


def test_a_system_of_another_size_needs_no_word_on_studies() -> None:
    """Sizes of studies that nobody named follow the sizes that are trained; named ones are checked."""
    system = {"family": "fm4npp", "dataset": "collider", "sizes": ["m2"], "pretrain": {"steps": 2, "batch_size": 2}}
    checked = validate(values({"systems": {"other": system}})).systems["other"]
    assert isinstance(checked, Fm4nppSystem)
    assert (checked.adapters.sizes, checked.ablations.size, checked.scaling.data_size) == (["m2"], "m2", "m2")
    with pytest.raises(ConfigError, match=r"ablations.size: \['m1'\] not in sizes"):
        validate(values({"systems": {"other": {**system, "ablations": {"size": "m1"}}}}))


def test_merge_replaces_lists_and_joins_mappings() -> None:
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


@pytest.mark.parametrize("overlay", SCALES, ids=lambda p: p.stem)
def test_every_shipped_scale_is_valid_and_names_itself(overlay: Path) -> None:
    under = re.search(r"^# Lies over (\w+\.yaml)", overlay.read_text())
    below = [overlay.with_name(under[1])] if under else []
    assert load(ROOT / "config.yaml", *below, overlay).scale == overlay.stem


def test_the_schema_of_the_editor_is_the_one_of_the_code() -> None:
    shipped = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    shipped.pop("$schema")
    assert shipped == json.loads(json.dumps(Configuration.model_json_schema())), "run `make schema`"


@pytest.mark.parametrize("overlay", sorted((ROOT / "workflow" / "overlays").glob("*.yaml")), ids=lambda p: p.stem)
def test_overlays_are_valid_on_the_scale_that_they_name(overlay: Path) -> None:
    scale = re.search(r"workflow/scales/(\w+)\.yaml", overlay.read_text())
    assert scale, f"{overlay.name}: its head names no scale"
    validate(values(read_yaml(overlay), scale[1]))


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("results", "~/results", "/home/someone/results"),
        ("results", "$TPC_PLACE/results", "/large disk/results"),
        ("container", "${TPC_PLACE}/image.sif", "/large disk/image.sif"),
        ("container", "docker://image:1", "docker://image:1"),
        ("data.lartpc.detector", "~/mine.yaml", "/home/someone/mine.yaml"),
    ],
)
def test_home_and_variables_are_replaced(monkeypatch: pytest.MonkeyPatch, key: str, value: str, found: str) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("TPC_PLACE", "/large disk")
    config: Any = validate(values(setting(key, value))).model_dump()
    for part in key.split("."):
        config = config[part]
    assert config == found


@pytest.mark.parametrize("key", ["results", "container", "data.lartpc.detector", "data.lartpc.files"])
@pytest.mark.parametrize(
    ("value", "said"), [("$TPC_NOWHERE/x", "$TPC_NOWHERE is not set"), ("~nobody-here/x", "no user 'nobody-here'")]
)
def test_what_cannot_be_replaced_is_refused_with_its_key(key: str, value: str, said: str) -> None:
    over = setting(key, [value] if key.endswith("files") else value)
    with pytest.raises(ConfigError, match=re.escape(key)) as error:
        validate(values(merge({"data": {"lartpc": {"simulate": None}}} if key.endswith("files") else {}, over)))
    assert said in str(error.value)


def test_a_results_folder_with_wildcards_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"results: braces stand for wildcards .*'a\{b\}'"):
        validate(values({"results": "a{b}"}))


def test_a_key_that_is_also_the_tag_of_its_block_is_named() -> None:
    """`classes` is the kind of a label, and a key of such labels."""
    text = (
        "name: d\nvolume: {shape: box, x: [0, 1], y: [0, 1], z: [0, 1]}\npitch: 1\n"
        "labels: {pid: {kind: classes, classes: {0: a, 1: {name: b, ignored: true}}}}\n"
    )
    with pytest.raises(ValidationError) as error:
        Detector.model_validate(yaml.safe_load(text))
    said = explain(error.value, Detector)
    assert "labels.pid.classes.1.ignored: unknown key; allowed here: colour, name" in said
