"""A wrong key, type or combination stops with a message naming key, value and what is allowed; overlays merge by key."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tpcfm.config.text import merge
from tpcfm.errors import ConfigError
from tpcfm.systems.registry import load, validate

ROOT = Path(__file__).resolve().parents[2]
SCALES = sorted((ROOT / "workflow" / "scales").glob("*.yaml"))


@pytest.fixture
def values() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def _set(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    node = changed
    *path, last = key.split(".")
    for part in path:
        node = node[part]
    node[last] = value
    return changed


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("polar_mae.tokenizer.radios", 5, ["polar_mae.tokenizer.radios", "unknown key", "radius", "5"]),
        ("polar_mae.pretrain.steps", "many", ["polar_mae.pretrain.steps", "'many'", "integer"]),
        ("polar_mae.mask_ratio", 1.5, ["polar_mae.mask_ratio", "less than 1", "1.5"]),
        ("fm4npp.sizes", ["m9"], ["fm4npp.sizes.0", "m1", "m6", "m9"]),
        ("fm4npp.adapters.sizes", ["m6"], ["adapters.sizes", "m6", "not in sizes"]),
        ("fm4npp.ablations.k", [64], ["ablations.k", "64", "targets.k"]),
        ("data.lartpc.files", ["x.h5"], ["data.lartpc", "exactly one of simulate, files, download"]),
        ("polar_mae.pretrain.warmup_steps", 10**6, ["warmup_steps", "smaller than steps"]),
        ("data.collider.split.test", 0.99, ["data.collider.split", "no training events"]),
        ("data.collider", None, ["fm4npp", "data.collider", "missing"]),
    ],
)
def test_the_message_names_key_value_and_what_is_allowed(
    values: dict[str, Any], key: str, value: Any, expected: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        validate(_set(values, key, value))
    for text in expected:
        assert text in str(error.value)


def test_merge_replaces_lists_and_joins_mappings() -> None:
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


@pytest.mark.parametrize("overlay", SCALES, ids=lambda p: p.stem)
def test_every_shipped_scale_is_valid_and_names_itself(overlay: Path) -> None:
    assert load(ROOT / "config.yaml", overlay).scale == overlay.stem


def test_the_schema_of_the_editor_is_the_one_of_the_code() -> None:
    import json

    from tpcfm.config.workflow import WorkflowConfig

    shipped = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    shipped.pop("$schema")
    assert shipped == json.loads(json.dumps(WorkflowConfig.model_json_schema())), "run `make schema`"


@pytest.mark.parametrize("overlay", sorted((ROOT / "workflow" / "overlays").glob("*.yaml")), ids=lambda p: p.stem)
def test_overlays_are_valid_on_the_scale_that_they_name(values: dict[str, Any], overlay: Path) -> None:
    scale = re.search(r"workflow/scales/(\w+)\.yaml", overlay.read_text())
    assert scale, f"{overlay.name}: its head names no scale"
    under = yaml.safe_load((ROOT / scale[0]).read_text())
    validate(merge(merge(values, under), yaml.safe_load(overlay.read_text())))
