"""The scaling section as a page of its own: what ``snakemake scaling_plots`` ends with, without the rest of the report."""

from pathlib import Path

from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.page import Section, write_page
from tpcfm.report.sections.scaling import scaling_items
from tpcfm.report.view import View


def write_scaling_page(plan: Plan, folder: Path, out: Path) -> list[Item]:
    """Write the page and, beside it, ``figures/*.png`` and ``*.svg``; return what it shows.

    Args:
        plan: the plan whose scaling studies were fitted.
        folder: where ``tpcfm scaling fit`` wrote.
        out: the page (HTML, opens without a network).
    """
    views = View(plan, Sheet(out.parent / "figures", plan.config["scale"])).systems()
    items = [item for view in views for item in scaling_items(view, folder)]
    section = Section("scaling", "Scaling", "What more parameters, events and steps bring.", items)
    write_page(plan, [section], out, len(plan.of_experiment("scaling")))
    return items
