"""The printed numbers: every one of the papers' tables, from the YAML files in ``numbers/``, each with the rule that finds ours.

A file holds tables; a table has columns, rows and ``where``, the rule that is common to all its numbers. A column ("recall pion": score
and class, or a name with its rule), a row and the table each add to the rule; the narrower wins. docs/reference/ledger.md has the form.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import yaml

from tpcfm.errors import DataError

UNITS = {"": 1.0, "%": 0.01, "M": 1e6, "x": 1.0, "h": 1.0}
NAMES = {"": "", "%": "share", "M": "parameters", "x": "ratio", "h": "GPU-hours"}
OTHERS = ("replication", "panda_v2")
"""Columns of numbers that others print for the same quantity."""
BY = ("minus", "over", "drop")
ALL, LEAST = "all", "least"
_NUMBER = re.compile(r"^(-?\d*\.?(\d*))(?:\((\d+)\))?(%|M|x|h)?$")
Scores = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Printed:
    """A number as it is printed, as a share (``96.1(2)%`` is 0.961), a count, a ratio or hours.

    Attributes:
        value: of it.
        error: standard error in the last digits, 0 where none is printed.
        rounding: half a unit of the last digit.
        unit: one of `UNITS`.
    """

    value: float
    error: float
    rounding: float
    unit: str

    @classmethod
    def read(cls, text: str) -> "Printed":
        """Read ``.945(3)``, ``93.1%``, ``2.39M``, ``2.9x`` or ``80h``.

        Raises:
            DataError: anything else.
        """
        found = _NUMBER.match(text)
        if not found or not any(c.isdigit() for c in found[1]):
            raise DataError(f"{text!r} is no printed number; allowed are .945(3), 93.1%, 2.39M, 2.9x, 80h")
        digits, unit = float(f"1e-{len(found[2])}") if "." in found[1] else 1.0, found[4] or ""
        scale = UNITS[unit]
        return cls(float(found[1]) * scale, int(found[3] or 0) * digits * scale, digits * scale / 2, unit)

    @property
    def low(self) -> float:
        """Lower end: rounding, or 95 % of the printed error, whatever is wider."""
        return self.value - max(self.rounding, 1.96 * self.error)

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + max(self.rounding, 1.96 * self.error)


@dataclass(frozen=True)
class Rule:
    """Where ours stands: runs of a study, and rows of their metrics.

    Attributes:
        study, axis, point: of the plan, as patterns (``heads_*``); axis "" takes any.
        n_labels: of the runs; "all" for the whole labelled training set or the most there are, "least" for the fewest; None takes any.
        task, split, metric, of_class: of the metrics table; several metrics are combined.
        combine: how: "harmonic", their harmonic mean.
        against: the rule of what ours is compared with (``by``): ``minus`` a difference, ``over`` a ratio, ``drop`` one minus it.
    """

    study: str
    point: str
    task: str = ""
    axis: str = ""
    n_labels: int | str | None = None
    split: str = "test"
    metric: tuple[str, ...] = ()
    of_class: str = ""
    combine: str = ""
    against: "tuple[Rule, ...]" = ()
    by: str = ""


@dataclass(frozen=True)
class Number:
    """One printed number.

    Attributes:
        paper, data: source, and the events it belongs to.
        family, detector: of the systems whose runs stand beside it.
        key, place, row, column: table in the files, place in the paper, and its cell.
        metric, of_class: of the column.
        printed: the number.
        rules: where ours stands: the paper's own case first, then what comes nearest at other scales.
        count: parameter counts of a family and the beginning of a part, for numbers that are computed.
        others: numbers of `OTHERS`.
        note: what a reader must know.
    """

    paper: str
    data: str
    family: str
    detector: str
    key: str
    place: str
    row: str
    column: str
    metric: str
    of_class: str
    printed: Printed
    rules: tuple[Rule, ...] = ()
    count: tuple[str, str] | None = None
    others: Mapping[str, Printed] = field(default_factory=dict)
    note: str = ""


@cache
def numbers() -> tuple[Number, ...]:
    """Return every printed number, file by file.

    Raises:
        DataError: a file that says too much or too little.
    """
    folder = files("tpcfm.report.published") / "numbers"
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".yaml")), key=lambda item: item.name)
    return tuple(number for item in found for number in _read(yaml.safe_load(item.read_text()), item.name))


def _read(held: Mapping[str, Any], source: str) -> Iterator[Number]:
    for table in held["tables"]:
        common = {name: held.get(name) for name in ("paper", "data", "family", "detector")} | table
        columns = [_column(column) for column in table["columns"]]
        for row, cells in table["rows"].items():
            where = f"{source}, {table['key']}, {row}"
            texts = _cells(cells["numbers"], len(columns), where)
            others = {name: _cells(cells[name], len(columns), where) for name in OTHERS if name in cells}
            for place, (name, own) in enumerate(columns):
                if texts[place] == "-":
                    continue
                cases = cells.get("where", {})
                cases = cases if isinstance(cases, list) else [cases]
                wheres = [{"metric": name, **table.get("where", {}), **case, **own} for case in cases]
                count = cells.get("count") if name == "parameters" else None
                notes = [note for note in (table.get("note"), cells.get("note")) if note]
                yield Number(
                    **{key: str(common[key]) for key in ("paper", "data", "family", "detector", "key", "place")},
                    row=str(row),
                    column=name,
                    metric=own["metric"] if isinstance(own.get("metric"), str) else "",
                    of_class=str(own.get("class", "")),
                    printed=Printed.read(texts[place]),
                    rules=() if count else tuple(rule for one in wheres for rule in _rules(one, where)),
                    count=tuple(count) if count else None,
                    others={key: Printed.read(text[place]) for key, text in others.items() if text[place] != "-"},
                    note="; ".join(notes),
                )


def _cells(text: Any, count: int, where: str) -> list[str]:
    found = text.split() if isinstance(text, str) else []
    if len(found) != count:
        raise DataError(f"{where}: {count} columns, but {text!r}; numbers are one text, with - where none is printed")
    return found


def _column(column: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a column and what it adds to the rule: of text, score and class."""
    if isinstance(column, str):
        metric, _, of_class = column.partition(" ")
        return column, {"metric": metric} | ({"class": of_class} if of_class else {})
    ((name, rule),) = column.items()
    return str(name), dict(rule)


def _rules(rule: dict[str, Any], where: str) -> Iterator[Rule]:
    """Yield a rule for every combination of the values given as lists, in their order."""
    left = {name: value for name, value in rule.items() if name not in ("against", "metric", "by")}
    metrics = tuple(rule["metric"]) if isinstance(rule["metric"], list) else (str(rule["metric"]),)
    known = {f.name for f in fields(Rule)} - {"of_class", "metric", "against", "by"} | {"class"}
    if unknown := set(left) - known:
        raise DataError(
            f"{where}: unknown in a rule: {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(known))}"
        )
    if not {"study", "point"} <= set(left) or ("against" in rule) != (rule.get("by") in BY):
        raise DataError(
            f"{where}: a rule needs study, point, and with `against` a `by` of {', '.join(BY)}; found {rule}"
        )
    lists = {name: value if isinstance(value, list) else [value] for name, value in left.items()}
    for chosen in product(*lists.values()):
        one = dict(zip(lists, chosen, strict=True))
        other = {"metric": rule["metric"], **one, **rule["against"]} if "against" in rule else None
        against = tuple(_rules(other, where)) if other else ()
        size = str(one["point"]).split(" ")[0]  # of the backbone that a head without one stands against
        against = tuple(replace(r, point=r.point.replace("{size}", size)) for r in against)
        one["of_class"] = one.pop("class", "")
        yield Rule(metric=metrics, against=against, by=rule.get("by", ""), **one)


def scores(key: str) -> Scores:
    """Return the values of a table by row, metric and class ("" over all classes; of a rule-named column the name)."""
    found: Scores = {}
    for number in numbers():
        if number.key == key:
            values = found.setdefault(number.row, {}).setdefault(number.metric or number.column, {})
            values[number.of_class] = number.printed.value
    return found


def values(key: str) -> dict[str, dict[str, float]]:
    """Return the values of a table by row and column."""
    found: dict[str, dict[str, float]] = {}
    for number in numbers():
        if number.key == key:
            found.setdefault(number.row, {})[number.column] = number.printed.value
    return found
