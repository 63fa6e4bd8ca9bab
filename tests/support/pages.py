"""Plans without runs, and what stands in the tables of a page. Not a test file."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from plans import values
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.view import TaskView, View
from tpcfm.systems.registry import make_plan, validate


def demo_plan(results: Path, *systems: str, change: Callable[[dict[str, Any]], object] = lambda values: None) -> Plan:
    """Return the plan of ``config.yaml``, of some of its systems if any are named, with its values changed."""
    found = values({"results": str(results)})
    found["systems"] = {k: block for k, block in found["systems"].items() if k in systems or not systems}
    change(found)
    return make_plan(validate(found))


def view_of(plan: Plan, folder: Path, system: str = "") -> View:
    """Return the view of a system, the only one unless named; its items have names without prefix."""
    (key,) = [key for key in plan.systems() if system in ("", key)]
    return View(plan, Sheet(folder / "figures", "demo"), key)


def tasks_of(view: View) -> dict[str, TaskView]:
    """Return the tasks of a system that have scores."""
    return {task.name: task for task in view.tasks()}


def named(items: Iterable[Item]) -> dict[str, Item]:
    """Return items by name; none stands there twice."""
    held = list(items)
    found = {item.name: item for item in held}
    assert len(found) == len(held)
    return found


def table_of(item: Item) -> pd.DataFrame:
    """Return the table of an item as text, first column as index."""
    lines = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in re.findall(r"<tr>(.*?)</tr>", item.html)]
    head, *body = [[re.sub(r"<[^>]+>", "", cell).replace("\u2212", "-") for cell in line] for line in lines if line]
    return pd.DataFrame(body, columns=head).set_index(head[0])


def row(item: Item, name: str, **where: str) -> list[str]:
    """Return the cells of the one row of a table with this name, behind those that ``where`` names."""
    found = table_of(item)
    for column, value in where.items():
        found = found[found[column] == value].drop(columns=column)
    (cells,) = found.loc[[name]].to_numpy().tolist()
    return cells
