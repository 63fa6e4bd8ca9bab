"""Table of contents: every section of the page, and which systems get it."""

from collections.abc import Callable
from dataclasses import dataclass

from tpcfm.report.draw.style import Item
from tpcfm.report.sections.ablations import ablation_items
from tpcfm.report.sections.data import data_items
from tpcfm.report.sections.events import event_items, prediction_items
from tpcfm.report.sections.labels import label_items
from tpcfm.report.sections.ledger import ledger_items
from tpcfm.report.sections.paired import paired_items
from tpcfm.report.sections.probes import probe_items
from tpcfm.report.sections.representations import representation_items
from tpcfm.report.sections.scaling import scaling_items
from tpcfm.report.sections.serialization import serialization_items
from tpcfm.report.sections.tokenizers import tokenizer_items
from tpcfm.report.sections.training import training_items
from tpcfm.report.view import LABELLED, View


@dataclass(frozen=True)
class Entry:
    """A section.

    Attributes:
        anchor, title, text: of the section.
        make: returns its items, of one system; those that were not made have none.
        studies: beginnings of names: a system gets the section if it has one of these studies. Without any, every system does.
        shared: the section shows the whole plan, not system by system.
    """

    anchor: str
    title: str
    text: str
    make: Callable[[View], list[Item]]
    studies: tuple[str, ...] = ()
    shared: bool = False

    def items(self, plan: View) -> list[Item]:
        """Return the items of all systems that get the section."""
        views = [plan] if self.shared else [view for view in plan.systems() if self.fits(view)]
        return [item for view in views for item in self.make(view)]

    def fits(self, view: View) -> bool:
        """Return whether a system gets the section."""
        return not self.studies or any(name.startswith(self.studies) for name in view.studies)


CHANGED = ("ablation_", "adapter_", "mask_ratio", "grouping", "variants")
SECTIONS = (
    Entry("data", "Data", "Raw files as ingested, beside the published aggregates.", data_items, shared=True),
    Entry("events", "Events", "A typical event of each dataset.", event_items, shared=True),
    Entry("tokenizers", "Tokenizers", "How an event becomes tokens.", tokenizer_items),
    Entry("serialization", "Serialization", "How an event becomes a sequence.", serialization_items),
    Entry("pretraining", "Pretraining", "Learning without labels.", training_items, ("pretrain",)),
    Entry("probes", "Probes", "What a linear map finds in frozen tokens.", probe_items, ("probe",)),
    Entry(
        "representations",
        "What the networks have learned",
        "Features, attention and completed events of the frozen networks.",
        representation_items,
    ),
    Entry("scaling", "Scaling", "What more parameters, events and steps bring.", scaling_items, ("scaling_",)),
    Entry("ablations", "Ablations", "One thing changed at a time.", ablation_items, CHANGED),
    Entry(
        "labels",
        "Few labels",
        "Every task on label columns: heads on pretrained networks, their controls and the baselines.",
        label_items,
        LABELLED,
    ),
    Entry(
        "above",
        "Is it above?",
        "What the claims rest on: differences between systems, paired by seed and test event.",
        paired_items,
        (*LABELLED, "probe", "ablation_heads", *CHANGED),
    ),
    Entry(
        "predictions",
        "Predictions",
        "Held-out events: drag one view and the others turn with it.",
        prediction_items,
        LABELLED,
    ),
    Entry("ledger", "Ledger", "Every number that the papers print, beside ours.", ledger_items, shared=True),
)
