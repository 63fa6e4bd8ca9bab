"""The scaling section as a page of its own: what ``snakemake scaling_plots`` ends with, without the rest of the report."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape

from tpcfm import __version__
from tpcfm.files import write_text
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.page import SCALE_NOTES, Section
from tpcfm.report.sections.scaling import scaling_items


def write_scaling_page(plan: Plan, folder: Path, out: Path) -> list[Item]:
    """Write the page and, beside it, ``figures/*.png`` and ``*.svg``; return what it shows.

    Args:
        plan: the plan whose scaling studies were fitted.
        folder: where ``tpcfm scaling fit`` wrote.
        out: the page (HTML, opens without a network).
    """
    scale = plan.config["scale"]
    items = scaling_items(folder, Sheet(out.parent / "figures", scale))
    environment = Environment(loader=PackageLoader("tpcfm.report"), autoescape=select_autoescape(["html"]))
    page = environment.get_template("page.html").render(
        sections=[Section("scaling", "Scaling", "What more parameters, events and steps bring.", items)],
        scale=scale,
        note=SCALE_NOTES[scale],
        left_out=[],
        version=__version__,
        plan=plan.hash,
        runs=len(plan.of_experiment("scaling")),
        plotly="",
    )
    write_text(out, page)
    return items
