"""The report: one HTML file that opens without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import plotly.offline
from jinja2 import Environment, PackageLoader, select_autoescape

from tpcfm import __version__
from tpcfm.files import atomic, write_text
from tpcfm.plan.table import Plan
from tpcfm.report.contents import SECTIONS
from tpcfm.report.draw.embed import MARK, SCRIPT
from tpcfm.report.draw.policy import policy
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.published.scope import not_included
from tpcfm.report.view import View
from tpcfm.workspace import LEDGER

SCALE_NOTES = {
    "tiny": "This is the test scale: a handful of events and steps. Its numbers mean nothing.",
    "demo": "This is the demo: real code on a few hundred simulated events and tens of steps. It shows that everything runs; "
    "it supports no claim about the methods.",
    "study": "Simulated events, two cores. Claims hold for this simulation only, not for the public data.",
    "h200": "Simulated events, half an hour of one GPU. Claims hold for this simulation only.",
    "paper": "The papers' settings.",
    "walk": "The path of the paper scale, walked with a handful of events and steps. Its numbers mean nothing.",
    "own": "Settings of one's own.",
}


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    text: str
    items: list[Item]


def sections(view: View) -> list[Section]:
    """Return every section that has something to show."""
    found = [Section(entry.anchor, entry.title, entry.text, entry.items(view)) for entry in SECTIONS]
    return [section for section in found if section.items]


def left_out(plan: Plan) -> dict[str, list[str]]:
    """Name by system what the papers of its family did and its settings leave out."""
    held = {view.system: view.detector.name for view in View(plan, Sheet(Path(), "")).systems()}
    blocks = plan.config["systems"]
    found = {key: list(not_included(blocks[key]["family"], detector, blocks[key])) for key, detector in held.items()}
    return {key: names for key, names in found.items() if names}


def write_report(plan: Plan, out: Path, paper: Plan | None = None) -> list[Section]:
    """Write the page and, beside it, ``ledger.parquet``, ``figures/*.png`` and ``*.svg``; return the sections.

    Args:
        plan: whose results are shown.
        out: the page.
        paper: the plan of the papers' scale, for what numbers that were not run would cost.
    """
    view = View(plan, Sheet(out.parent / "figures", plan.config["scale"]), paper=paper)
    parts = sections(view)
    with atomic(out.parent / LEDGER) as temporary:
        view.ledger.to_parquet(temporary, index=False)
    write_page(plan, parts, out, len(plan.runs), left_out(plan))
    return parts


def write_page(
    plan: Plan, parts: list[Section], out: Path, runs: int, missing: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> None:
    """Write sections as one HTML file.

    Args:
        plan: says the scale.
        parts: what to show.
        out: the page.
        runs: how many stand behind it.
        missing: what the scale leaves out, by system.
    """
    scale = plan.config["scale"]
    environment = Environment(loader=PackageLoader("tpcfm.report"), autoescape=select_autoescape(["html"]))
    has_displays = any(MARK in item.html for section in parts for item in section.items)
    scripts = (plotly.offline.get_plotlyjs(), SCRIPT) if has_displays else ("", "")
    page = environment.get_template("page.html").render(
        sections=parts,
        scale=scale,
        note=SCALE_NOTES[scale],
        left_out=missing,
        version=__version__,
        plan=plan.hash,
        runs=runs,
        policy=policy(filter(None, scripts)),
        plotly=scripts[0],
        displays=scripts[1],
    )
    write_text(out, page)
