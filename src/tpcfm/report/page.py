"""The report: one HTML file that opens without a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.offline
from jinja2 import Environment, PackageLoader, select_autoescape

from tpcfm import __version__
from tpcfm.files import write_text
from tpcfm.plan.pictures import fm4npp_pictures, polar_mae_pictures
from tpcfm.plan.table import Plan
from tpcfm.report.detectors import detector_of_dataset
from tpcfm.report.draw.embed import MARK, SCRIPT
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.names import SYSTEMS
from tpcfm.report.sections.ablations import ablation_items
from tpcfm.report.sections.comparison import comparison_tables
from tpcfm.report.sections.data import data_items
from tpcfm.report.sections.events import event_items, pair_items, prediction_items
from tpcfm.report.sections.features import feature_items
from tpcfm.report.sections.labels import adapter_items
from tpcfm.report.sections.momentum import momentum_items, tracking_metrics
from tpcfm.report.sections.paired import paired_items
from tpcfm.report.sections.polar_studies import polar_study_items
from tpcfm.report.sections.representations import attention_items, confusion_items, reconstruction_items, token_items
from tpcfm.report.sections.scaling import scaling_items
from tpcfm.report.sections.segmentation import segmentation_items
from tpcfm.report.sections.serialization import serialization_items
from tpcfm.report.sections.tokenizers import tokenizer_items
from tpcfm.report.sections.training import training_items
from tpcfm.workspace import Workspace

SCALE_NOTES = {
    "tiny": "This is the test scale: a handful of events and steps. Its numbers mean nothing.",
    "demo": "This is the demo: real code on a few hundred simulated events and tens of steps. It shows that everything runs; "
    "it supports no claim about the methods.",
    "study": "Simulated events, two cores. Claims hold for this simulation only, not for the public data.",
    "h200": "Simulated events, half an hour of one GPU. Claims hold for this simulation only.",
    "paper": "The papers' settings.",
}


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    text: str
    items: list[Item]


def sections(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Section]:
    """Return every section that has something to show."""
    studies = workspace.root / "studies"
    masked, serialized = polar_mae_pictures(plan), fm4npp_pictures(plan)
    voxels = detector_of_dataset(plan, plan.caches[masked.cache].dataset) if masked else None
    tracks = detector_of_dataset(plan, serialized.dataset) if serialized else None
    tracks_folder = workspace.pictures("fm4npp")
    found = [
        Section(
            "data",
            "Data",
            "Raw files as ingested, beside the published aggregates.",
            data_items(plan, workspace, sheet),
        ),
        Section("events", "Events", "A typical event of each dataset.", event_items(plan, workspace, sheet)),
        Section(
            "tokenizers", "Tokenizers", "How an event becomes tokens.", tokenizer_items(studies / "tokenizer", sheet)
        ),
        Section(
            "serialization",
            "Serialization",
            "How an event becomes a sequence.",
            serialization_items(tracks_folder, studies / "serialization", tracks, sheet),
        ),
        Section(
            "pretraining",
            "Pretraining",
            "Learning without labels.",
            training_items(plan, workspace, sheet),
        ),
        Section(
            "representations",
            "What PoLAr-MAE has learned",
            "Features, attention and completed events of the frozen networks.",
            [
                *token_items(plan, workspace, sheet),
                *(attention_items(workspace.pictures("polar_mae"), voxels, sheet) if voxels else []),
                *reconstruction_items(plan, workspace, sheet),
            ],
        ),
        Section(
            "features",
            "What FM4NPP has learned",
            "Features of points before and after the adapters' linear maps.",
            feature_items(tracks_folder, tracks, sheet) if tracks else [],
        ),
        Section(
            "scaling",
            "Scaling",
            "What more parameters, events and steps bring.",
            scaling_items(studies / "scaling", sheet),
        ),
        Section(
            "ablations",
            "Ablations",
            "One thing changed at a time.",
            [*ablation_items(plan, sheet), *polar_study_items(plan)],
        ),
        Section(
            "segmentation",
            "Few labels: segmentation",
            "One class for every point.",
            [*segmentation_items(plan, sheet), *confusion_items(plan, sheet)],
        ),
        Section(
            "adapters",
            "Few labels: adapters and comparison systems",
            "Tracks, species and noise.",
            [*adapter_items(plan, sheet), *comparison_tables(plan), *momentum_items(tracking_metrics(plan), sheet)],
        ),
        Section(
            "above",
            "Is it above?",
            "What the claims rest on: differences between systems, paired by seed and test event.",
            paired_items(plan),
        ),
        Section(
            "predictions",
            "Predictions",
            "Held-out events: drag one view and the others turn with it.",
            [
                *prediction_items(plan, workspace, sheet),
                *(pair_items(tracks_folder / "pairs.parquet", tracks, sheet) if tracks else []),
            ],
        ),
    ]
    return [section for section in found if section.items]


def left_out(plan: Plan) -> list[str]:
    """Name what the configured scale does not include."""
    config = plan.config
    missing = [f"system {s}" for s in ("polar_mae", "fm4npp") if s not in config["systems"]]
    if config.get("polar_mae") and "polar_mae" in config["systems"]:
        if not config["polar_mae"]["mask_ratios"]:
            missing.append("mask-ratio ablation")
        if not config["polar_mae"]["grouping_study"]:
            missing.append("pretraining with other tokenizers")
        if not config["polar_mae"]["variants"]:
            missing.append("variants of the masked pretraining (App. F)")
        if not config["polar_mae"]["sparse_unet"]:
            missing.append("sparse U-Net baseline")
        missing += [
            f"segmentation at {n} labels"
            for n in (100, 1000, 10_000)
            if n not in config["polar_mae"]["segmentation"]["labels"]
        ]
    if config.get("fm4npp") and "fm4npp" in config["systems"]:
        system = config["fm4npp"]
        missing += [f"backbone {size}" for size in ("m1", "m2", "m3", "m4", "m5", "m6") if size not in system["sizes"]]
        missing += [f"adapter for {t}" for t in ("tracks", "pid", "noise") if not system["adapters"][t]]
        if not system["ablations"]["next_token"]:
            missing.append("next-token ablation")
        parameterization = system["mup_study"] or {}
        wanted = {
            "coordinate check": parameterization.get("coordinates"),
            "learning-rate transfer": parameterization.get("transfer"),
            "adapter depth sweep": system["adapters"]["depth"],
            "joint adapter": system["adapters"]["joint"],
            "loss rescaled by difficulty": system["ablations"]["rescale"],
            "sequence mixers (Mamba-3, bidirectional)": system["ablations"]["mixers"],
            "scaling in data": system["scaling"]["data_fractions"],
            "scaling in compute": system["scaling"]["compute_fractions"],
        }
        missing += [name for name, block in wanted.items() if not block]
        missing += [f"k = {k} ablation" for k in (1, 5) if k not in (*system["ablations"]["k"], system["targets"]["k"])]
        trained_labels = {
            n for t in ("tracks", "pid", "noise") for n in (system["adapters"][t] or {}).get("labels", [])
        }
        missing += [f"adapters at {n} labels" for n in (100, 1000, 10_000, 70_000) if n not in trained_labels]
        missing += [f"order {o}" for o in ("hilbert",) if o not in system["ablations"]["orders"]]
        point, tracks = ((system.get("baselines") or {}).get(kind) or {} for kind in ("point", "tracks"))
        trained = {*(point.get("models") or []), *(tracks.get("models") or [])}
        missing += [f"comparison system {name}" for key, name in SYSTEMS.items() if key not in trained]
        missing += [f"{t} with comparison systems" for t in ("pid", "noise") if point and not point[t]]
    return missing


def write_report(plan: Plan, out: Path) -> list[Section]:
    """Write the page and, beside it, ``figures/*.png`` and ``*.svg``; return the sections."""
    workspace = Workspace(Path(plan.config["results"]))
    parts = sections(plan, workspace, Sheet(out.parent / "figures", plan.config["scale"]))
    write_page(plan, parts, out, len(plan.runs), left_out(plan))
    return parts


def write_page(plan: Plan, parts: list[Section], out: Path, runs: int, missing: Sequence[str] = ()) -> None:
    """Write sections as one HTML file.

    Args:
        plan: says the scale.
        parts: what to show.
        out: the page.
        runs: how many stand behind it.
        missing: what the scale leaves out.
    """
    scale = plan.config["scale"]
    environment = Environment(loader=PackageLoader("tpcfm.report"), autoescape=select_autoescape(["html"]))
    has_displays = any(MARK in item.html for section in parts for item in section.items)
    page = environment.get_template("page.html").render(
        sections=parts,
        scale=scale,
        note=SCALE_NOTES[scale],
        left_out=missing,
        version=__version__,
        plan=plan.hash,
        runs=runs,
        plotly=plotly.offline.get_plotlyjs() if has_displays else "",
        displays=SCRIPT if has_displays else "",
    )
    write_text(out, page)
