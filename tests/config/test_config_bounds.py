"""Every number of the configuration has bounds, and whatever passes the check makes a plan: no value is met by a job first."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans import ROOT, setting, values
from tpcfm.config.text import merge, read_yaml
from tpcfm.errors import ConfigError
from tpcfm.systems.registry import Configuration, make_plan, validate

SCHEMA = Configuration.model_json_schema()
BOUNDS = {"minimum", "exclusiveMinimum", "enum", "const"}


def unbounded(node: Any, place: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the places of numbers without a lower bound below a node of the schema."""
    if not isinstance(node, Mapping):
        return
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        if name not in seen:
            yield from unbounded(SCHEMA["$defs"][name], name, seen | {name})
        return
    if node.get("type") in ("integer", "number") and not BOUNDS & set(node):
        yield place
    for key in ("properties", "patternProperties"):
        for name, child in node.get(key, {}).items():
            yield from unbounded(child, f"{place}.{name}", seen)
    for key in ("items", "additionalProperties"):
        yield from unbounded(node.get(key), f"{place}[]", seen)
    for key in ("prefixItems", "anyOf", "oneOf", "allOf"):
        for child in node.get(key, []):
            yield from unbounded(child, place, seen)


def test_every_number_has_a_lower_bound() -> None:
    assert sorted(set(unbounded(SCHEMA, ""))) == []


def leaves(value: Any, place: str = "") -> Iterator[str]:
    """Yield the dotted keys of a configuration that hold no mapping."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{place}.{key}" if place else str(key))
    else:
        yield place


LEAVES = sorted(key for key in leaves(read_yaml(ROOT / "config.yaml")) if not key.startswith("results"))
ODD = [
    0,
    -1,
    1,
    2,
    7,
    0.5,
    1.0,
    -0.5,
    10**12,
    math.inf,
    math.nan,
    True,
    None,
    "",
    "x",
    "{a}",
    [],
    [0],
    [-1],
    [1, 1],
    [0.5],
    ["x"],
    {},
]


@given(changes=st.lists(st.tuples(st.sampled_from(LEAVES), st.sampled_from(ODD)), min_size=1, max_size=2))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_the_check_accepts_makes_a_plan(changes: list[tuple[str, Any]]) -> None:
    try:
        over: dict[str, Any] = {}
        for key, value in changes:
            over = merge(over, setting(key, value))
        plan = make_plan(validate(values(over)))
    except ConfigError:
        return
    assert all(run.config for run in plan.runs.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: 1\nb: {c: 1}\na: 2\n", "line 3: the key 'a' stands here again, first in line 1"),
        (b"b:\n  c: 1\n  c: 2\n", "line 3: the key 'c'"),
        ("scale: tiny\n# café\n".encode("latin-1"), "line 2: not UTF-8"),
        (b"a: [1\n", "not valid YAML"),
        (b"- 1\n", "expected a mapping"),
        (b"&x a: 1\n? [1]\n: 2\n", "not valid YAML"),
    ],
)
def test_files_that_say_something_else_than_they_seem_to_are_refused(
    tmp_path: Path, text: bytes, expected: str
) -> None:
    (tmp_path / "c.yaml").write_bytes(text)
    with pytest.raises(ConfigError, match=expected) as error:
        read_yaml(tmp_path / "c.yaml")
    assert "c.yaml" in str(error.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "cannot be read"), (tmp_path / "no.yaml", "no such file")):
        with pytest.raises(ConfigError, match=words):
            read_yaml(path)


def test_anchors_and_merge_keys_still_work(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("base: &b {x: 1, y: 2}\nother: {<<: *b, x: 3}\n")
    assert read_yaml(tmp_path / "c.yaml")["other"] == {"x": 3, "y": 2}
