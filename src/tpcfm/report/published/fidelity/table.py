"""The fidelity table as Markdown: ``docs/reference/fidelity.md``."""

from collections import Counter
from collections.abc import Mapping

from tpcfm.report.published.fidelity import fm4npp, fm4npp_tasks, polar_mae, polar_mae_training
from tpcfm.report.published.fidelity.item import FREE, KINDS, Item

PAPERS: dict[str, tuple[str, Mapping[str, tuple[Item, ...]]]] = {
    "polar_mae": ("PoLAr-MAE (arXiv 2502.02558)", polar_mae.ITEMS | polar_mae_training.ITEMS),
    "fm4npp": ("FM4NPP (arXiv 2508.14087)", fm4npp.ITEMS | fm4npp_tasks.ITEMS),
}
"""Title and items, by section, of the paper of each family."""
HEAD = """# The papers, line by line

What each paper says, what its released code does, what we do, and the setting that selects it (a key of a system of the family; values are those of
`workflow/scales/paper.yaml`, and what that file sets stands here). What is not in this table is a claim that we do exactly what the paper says.
Written by `python tools/fidelity.py` from `src/tpcfm/report/published/fidelity/`; a test holds page, table, schema and `paper.yaml` together.
"""


def items(family: str) -> list[Item]:
    """Return all items of the paper of a family."""
    return [item for part in PAPERS[family][1].values() for item in part]


def markdown() -> str:
    """Return the whole page."""
    lines = [HEAD, "| kind | " + " | ".join(PAPERS) + " | |", "|---" * (len(PAPERS) + 2) + "|"]
    counts = {family: Counter(item.kind for item in items(family)) for family in PAPERS}
    lines += [
        f"| {kind} | " + " | ".join(str(counts[family][kind]) for family in PAPERS) + f" | {meaning} |"
        for kind, meaning in KINDS.items()
    ]
    for title, sections in PAPERS.values():
        lines += ["", f"## {title}"]
        for name, part in sections.items():
            lines += [
                "",
                f"### {name}",
                "",
                "| | where | paper says | released code does | we do | kind | setting |",
                "|---" * 7 + "|",
            ]
            lines += [_line(item) for item in part]
    return "\n".join(lines) + "\n"


def _line(item: Item) -> str:
    settings = ", ".join(
        f"`{key}`" if value is FREE else f"`{key}: {_value(value)}`" for key, value in item.settings.items()
    )
    cells = [item.what, item.where, item.paper, item.released, item.ours, item.kind, settings]
    return "| " + " | ".join(cell or "–" for cell in cells) + " |"


def _value(value: object) -> str:
    """Return a value as a configuration writes it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(v)}" for key, v in value.items()) + "}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) or '""'
