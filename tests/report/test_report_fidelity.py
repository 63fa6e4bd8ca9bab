"""The fidelity table: its page is up to date, its settings exist, its values are those of the scale `paper`, and that scale sets nothing else."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

import pytest

import plans
from tpcfm.config.workflow import WorkflowConfig
from tpcfm.report.published.fidelity.item import FREE, KINDS, Item
from tpcfm.report.published.fidelity.table import PAPERS, items, markdown
from tpcfm.systems.registry import validate

FAMILIES = list(PAPERS)


@pytest.fixture(scope="module")
def paper() -> WorkflowConfig:
    return validate(plans.values(scale="paper"))


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        here = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{here}.")
        else:
            yield here


def reached(block: Any, key: str) -> list[Any]:
    """Return the values of a configuration that a key names, `*` being any part; a key that is no setting is an error."""
    found = [block]
    for part in key.split("."):
        after = []
        for value in found:
            if isinstance(value, Mapping):
                after += [one for name, one in value.items() if fnmatch(str(name), part)]
            else:
                assert part in type(value).model_fields, f"{key}: {type(value).__name__} has no {part}"
                after.append(getattr(value, part))
        found = after
    assert found, f"{key}: names nothing"
    return found


def settings(family: str) -> list[tuple[Item, str, Any]]:
    return [(item, key, value) for item in items(family) for key, value in item.settings.items()]


def test_the_page_is_the_table() -> None:
    page = (plans.ROOT / "docs/reference/fidelity.md").read_text(encoding="utf-8")
    assert page == markdown(), "run python tools/fidelity.py"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_exists_and_has_its_value_at_the_scale_of_the_paper(family: str, paper: WorkflowConfig) -> None:
    for item, key, value in settings(family):
        for found in reached(paper.systems[family], key):
            plain = found.model_dump() if hasattr(found, "model_dump") else found
            assert value is FREE or plain == value, f"{item.what}: {key} is {plain} at the scale paper"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_scale_of_the_paper_sets_nothing_that_the_table_does_not_name(family: str) -> None:
    """Laid over the demo: a value of the demo that the scale does not replace shows up here, too."""
    given = {k: v for k, v in plans.values(scale="paper")["systems"][family].items() if k != "family"}
    named = [key for _, key, _ in settings(family)]
    loose = [leaf for leaf in leaves(given) if not any(fnmatch(leaf, k) or fnmatch(leaf, f"{k}.*") for k in named)]
    assert not loose


@pytest.mark.parametrize("family", FAMILIES)
def test_every_item_is_said_once_and_a_difference_has_a_reason(family: str) -> None:
    found = items(family)
    assert all(item.kind in KINDS and (item.ours or item.paper) for item in found)
    titles = [(name, item.what) for name, part in PAPERS[family][1].items() for item in part]
    assert len(titles) == len(set(titles))
    assert all("|" not in text for i in found for text in (i.what, i.where, i.paper, i.released, i.ours))
    for item in found:
        # Where paper and code disagree, both must be told, or nobody could choose.
        assert item.kind != "option" or (item.paper or item.released), item.what
