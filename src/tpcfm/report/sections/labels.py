"""Section "Few labels": every task of a system, its scores against the number of labelled events, and what they cost."""

from tpcfm.report.draw.style import Item
from tpcfm.report.sections.adaptation import adaptation_items
from tpcfm.report.sections.instances import instance_items
from tpcfm.report.sections.label_costs import cost_items
from tpcfm.report.sections.label_curves import confusion_items, curve_items
from tpcfm.report.sections.label_tables import calibration_items, class_tables, score_table
from tpcfm.report.view import View


def label_items(view: View) -> list[Item]:
    """Return curves and tables of every task, of all starts and baselines, published numbers beside ours."""
    parts = (
        curve_items,
        score_table,
        class_tables,
        calibration_items,
        confusion_items,
        instance_items,
        adaptation_items,
        cost_items,
    )
    return [item for task in view.tasks() for part in parts for item in part(task)]
