"""Linear probes of frozen tokens: F1 per class against pretraining step, the table of starts, and of studies that change the pretraining."""

from collections.abc import Sequence

import pandas as pd

from tpcfm.files import read_json
from tpcfm.report.draw.style import Item, colour, marker
from tpcfm.report.names import ABBREVIATIONS, plain, tokenizer
from tpcfm.report.sections.label_curves import with_legend_cell
from tpcfm.report.tables import Markup, share_with_interval, table
from tpcfm.report.view import View

CURVE = "probe_f1"
TOKEN_SHARES = ["tokens per event", "missed", "duplicated"]


def probe_items(view: View) -> list[Item]:
    """Return the curve and the table of the probe."""
    return [*_curves(view), *_starts(view)]


def _classes(view: View) -> list[str]:
    """Return the class names of the label that the probes ask for."""
    run = next(r for name, s in view.studies.items() if name.endswith("probe") for r in s.runs)
    return view.detector.classes()[view.plan.runs[run].config["label"]].names


def _curves(view: View) -> list[Item]:
    """Return F1 per class against step for every objective, from the small probes made during pretraining."""
    study = view.studies.get("pretrain")
    paths = [(p, view.workspace.run(p.run) / "log.parquet") for p in (study.points if study else [])]
    logs = [pd.read_parquet(path).assign(objective=p.value) for p, path in paths if path.exists()]
    names = [name for p, _ in paths[:1] for label in view.detector_of(p.run).classes().values() for name in label.names]
    wanted = [CURVE, *(f"{CURVE}_{name}" for name in dict.fromkeys(names))]
    columns = [name for name in wanted if any(name in log and log[name].notna().any() for log in logs)]
    if not columns:
        return []
    frame = pd.concat(logs, ignore_index=True)
    frame = frame[frame["split"] == "validation"]
    figure, cells = with_legend_cell(view.sheet, len(columns))
    for axes, column in zip(cells, columns, strict=False):
        for index, (objective, rows) in enumerate(frame.dropna(subset=[column]).groupby("objective", sort=False)):
            mean = rows.groupby("step")[column].mean()
            axes.plot(
                mean.index, mean.to_numpy(), marker(index) + "-", color=colour(index), label=plain(str(objective))
            )
        axes.set_title(column.removeprefix(CURVE).removeprefix("_") or "mean")
        axes.set_xlabel("pretraining step")
        axes.set_ylabel("probe F1")
        axes.set_ylim(0, 1.02)
    cells[len(columns)].legend(*cells[0].get_legend_handles_labels(), loc="center", title="objective")
    caption = (
        "F1 of a linear SVM per class on frozen tokens, fitted on a few training events and scored on a few validation events at each validation; "
        "step 0: random weights; mean over pretraining seeds. A curve to look at: the table below uses more events of the test split."
    )
    return [view.sheet.finish(figure, "probe-curve", "Token quality against pretraining step", caption, wide=True)]


def _cells(values: pd.DataFrame, classes: Sequence[str]) -> list[object]:
    """Return F1 over all classes and of each, mean of the given rows."""
    cells: list[object] = []
    for name in ("", *classes):
        chosen = values[values["class"] == name]
        cells.append(Markup(share_with_interval(*chosen[["value", "low", "high"]].mean())) if len(chosen) else None)
    return cells


def _published(view: View, study: str, classes: Sequence[str]) -> list[list[object]]:
    numbers = view.published(study)
    rows = [
        [f"{name} (paper, {numbers.data})", steps, *(scores.get(c) for c in ("", *classes))]
        for (name, steps), scores in numbers.rows.items()
    ]
    return rows


def _source(view: View, study: str) -> str:
    numbers = view.published(study)
    if not numbers.source:
        return ""
    return f" Rows marked paper: {numbers.source}, {numbers.data}; ours come from the dataset named under Data and are not comparable in absolute terms."


def _starts(view: View) -> list[Item]:
    frame = view.metrics("pretrain")
    f1 = frame[(frame["study"] == "probe") & (frame["metric"] == "f1") & (frame["split"] == "test")]
    if f1.empty:
        return []
    classes = _classes(view)
    rows: list[list[object]] = []
    for start, values in f1.groupby("point", sort=False):
        name = plain(str(start)).partition(", ")[0]
        rows.append([f"{name} (here)", _steps(view, str(values["run"].iloc[0])), *_cells(values, classes)])
    order = list(dict.fromkeys(row[0] for row in rows))
    rows.sort(key=lambda row: (order.index(row[0]), row[1] if isinstance(row[1], int) else 0))
    caption = (
        "F1 of a linear SVM per class on frozen tokens (a token counts for a class if any of its points has it), with 95 % intervals. Each "
        f"number of steps is a training with its own schedule. Steps 0: random weights.{_source(view, 'probe')}"
    )
    head = ["start", "steps", "mean", *classes]
    rows += _published(view, "probe", classes)
    return [table(view.sheet, "probe", "Linear probe of frozen tokens", head, rows, caption)]


def _steps(view: View, probe: str) -> object:
    """Return after how many steps the tokens of a probe were taken; 0 for random weights, "" for imported ones."""
    pretrained = view.plan.runs[probe].pretrained
    if pretrained is None:
        return 0
    return int(view.plan.runs[pretrained].config["train"]["steps"]) if pretrained in view.plan.runs else ""


def _token_shares(view: View, probe: str) -> list[object]:
    """Return the `TOKEN_SHARES` of the tokens of a probe, as its cache counted them; dashes without a cache."""
    path = view.workspace.cache_manifest(view.plan.runs[probe].cache)
    if not path.exists():
        return [None] * len(TOKEN_SHARES)
    found = read_json(path)["statistics"]
    missed = found["missed_share"] + found["capped_share"]
    return [float(found["tokens_per_event"]["mean"]), float(missed), float(found["duplicated_share"])]


def probe_study_items(view: View) -> list[Item]:
    """Return the tables of pretrainings with other tokenizers, and of variants of the pretraining, as far as they were run."""
    frame = view.metrics("ablations")
    frame = frame[(frame["task"] == "probe") & (frame["metric"] == "f1") & (frame["split"] == "test")]
    grouping = (
        "Each tokenizer with its own pretraining of the same steps and its own probe; a token counts for a class if any of its points has it, so "
        "tokenizers with other tokens are asked other questions. Missed: share of the points in no token; duplicated: in several; after the "
        f"cap on points per token.{_source(view, 'grouping_probe')} {ABBREVIATIONS}"
    )
    variants = (
        "Probe F1 of pretrainings that change one thing. autoencode: visible tokens are predicted, too; group_energy: energies relative to the mean "
        "of their token, which is embedded like its centre; diffusion: the decoder sees noised copies of the masked tokens (all three are reported as "
        "worse, without numbers, in arXiv 2502.02558, App. F); block_masking: the masked tokens are neighbours."
    )
    items = []
    for study, first, name, title, caption in (
        ("grouping_probe", "tokenizer", "grouping", "Grouping strategies", grouping),
        ("variants_probe", "variant", "variants", "Variants of the pretraining", variants),
    ):
        rows = frame[frame["study"] == study]
        if rows.empty:
            continue
        classes = _classes(view)
        body = [
            [f"{tokenizer(str(point))} (here)", _steps(view, values["run"].iloc[0]), *_cells(values, classes)]
            for point, values in rows.groupby("point", sort=False)
        ]
        head = [first, "steps", "mean", *classes]
        if study == "grouping_probe":
            head += TOKEN_SHARES
            for line, (_, values) in zip(body, rows.groupby("point", sort=False), strict=True):
                line += _token_shares(view, values["run"].iloc[0])
        body += [line + [None] * (len(head) - len(line)) for line in _published(view, study, classes)]
        items.append(table(view.sheet, name, title, head, body, caption, wide=True))
    return items
