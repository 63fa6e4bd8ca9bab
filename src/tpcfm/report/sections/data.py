"""Section "Data": what was ingested, beside the published aggregates of its detector."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tpcfm.config.splits import describe_shares
from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.files import read_json
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes
from tpcfm.report.names import tokenizer
from tpcfm.report.tables import table
from tpcfm.report.view import View
from tpcfm.workspace import Workspace


def manifests(plan: Plan, workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Return the manifest of every dataset that has been ingested."""
    paths = {name: workspace.events(name) / "manifest.json" for name in plan.datasets}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def published_values(detector: Detector) -> dict[str, float]:
    """Return the published aggregates of a detector by what they are; `measured_values` names the same things alike."""
    given = detector.published
    events = given.get("events")
    values: dict[str, float] = {}
    for name, label in detector.classes().items():
        counts = given.get("points", {}).get(name) or given.get("shares", {}).get(name)
        if counts:
            values |= _shares(name, label, dict(zip(label.classes, counts, strict=True)))
    if events and given.get("points"):
        values["points per event"] = sum(next(iter(given["points"].values()))) / events
    for key, value in given.items():
        if key.endswith("_per_event"):
            values.setdefault(key.replace("_", " "), value)
        elif key.endswith("_mean_std"):
            title = _titled(key.removesuffix("_mean_std"), detector)
            values[f"{title}: mean"], values[f"{title}: standard deviation"] = value
        elif events and key.removesuffix("s") in detector.labels:
            values[f"{key} per event"] = value / events
    return values


def measured_values(statistics: Mapping[str, Any], detector: Detector) -> dict[str, float]:
    """Return what the statistics of a dataset say of the same things."""
    values: dict[str, float] = {}
    for name, label in detector.classes().items():
        found = statistics["shares"].get(name)
        if found:
            values |= _shares(name, label, {value: found.get(str(value)) or 0.0 for value in label.classes})
    for key, histogram in statistics["histograms"].items():
        title = _titled(key, detector)
        if key in [signal.name for signal in detector.signal]:
            values |= {f"{title}: mean": histogram.get("mean"), f"{title}: standard deviation": histogram.get("std")}
        elif key.endswith("_per_event"):
            values[title] = histogram.get("mean")
    return values


def _shares(name: str, label: ClassLabel, weights: Mapping[int, float]) -> dict[str, float]:
    """Share of each class among the points that are kept, and of what is removed or ignored among all."""
    kept, every = sum(weights[v] for v in label.values), sum(weights.values())
    if not every:
        return {}
    return {
        f"{name}: share of {c.name}" + ("" if v in label.values else ", all points"): weights[v] / (kept if v in label.values else every)
        for v, c in label.classes.items()
        if weights[v] or v in label.values
    }  # fmt: skip


def _titled(key: str, detector: Detector) -> str:
    units = {s.name: s.unit for s in detector.signal} | {"radius": detector.coordinates.unit}
    return key.replace("_", " ") + (f" ({units[key]})" if units.get(key, "1") != "1" else "")


def data_items(view: View) -> list[Item]:
    """Return table and distributions of every dataset, and the tokens of every cache."""
    items, plan, sheet = [], view.plan, view.sheet
    for name, manifest in manifests(plan, view.workspace).items():
        detector, statistics = plan.datasets[name].load_detector(), manifest["statistics"]
        published, ours = published_values(detector), measured_values(statistics, detector)
        dataset = plan.datasets[name]
        origin = "simulated" if dataset.source.get("simulate") else "given files"
        if dataset.source.get("download"):
            origin = f"public release, {dataset.source['revision']}"
        present, split = dataset.published_splits, dataset.source["split"]
        made = describe_shares(present, split["validation"], split["test"]) if present else ""
        splits = ", ".join(f"{k} {v}" for k, v in manifest["splits"].items())
        caption = (
            f"{manifest['events']} events, {manifest['points']:,} points in {len(manifest['parts'])} files ({origin}); {splits}; "
            f"{manifest['rejected']} rejected." + (f" {made[0].upper()}{made[1:]}." if made else "")
        )
        keys = [*(key for key in published if key in ours), *(key for key in ours if key not in published)]
        rows = [[key, ours.get(key), *([published.get(key)] if published else [])] for key in keys]
        head = ["quantity", "here", *(["published"] if published else [])]
        title = f"{manifest['dataset']}: {detector.title or detector.name}"
        items.append(table(sheet, f"table-data-{name}", title, head, rows, caption))
        items.append(_distributions(name, manifest, detector, sheet))
    return items + _group_items(plan, view.workspace, sheet)


def _distributions(name: str, manifest: Mapping[str, Any], detector: Detector, sheet: Sheet) -> Item:
    histograms = {k: h for k, h in manifest["statistics"]["histograms"].items() if any(h["counts"])}
    columns = 2 if len(histograms) <= 4 else 3
    rows = max(1, -(-len(histograms) // columns))
    figure, grid = sheet.axes(columns, rows, width=6.4 / columns, height=2.1, squeeze=False)
    for axes in grid.flat[len(histograms) :]:
        axes.axis("off")
    hidden = {key: h.get("below", 0) / h["n"] for key, h in manifest["statistics"]["histograms"].items() if h.get("n")}
    said = [f"{share:.1%} of {key.replace('_', ' ')}" for key, share in hidden.items() if share]
    caption = f"Below the bins (0 or negative), not drawn: {', '.join(said)}." if said else ""
    for axes, (key, histogram) in zip(grid.flat, histograms.items(), strict=False):
        edges, counts = np.array(histogram["edges"]), np.array(histogram["counts"], dtype=float)
        filled = np.flatnonzero(counts)
        first, last = filled[0], filled[-1] + 1
        starts = np.arange(first, last, max(1, (last - first) // 40))
        summed = np.add.reduceat(counts[first:last], starts - first)
        axes.stairs(
            summed / counts.sum(), np.append(edges[starts], edges[last]), fill=True, color=colour(0), alpha=0.75
        )
        axes.set_xlabel(_titled(key, detector))
        axes.set_ylabel("share")
        if edges[last] > 2 * edges[first] > 0 and not np.allclose(np.diff(edges), edges[1] - edges[0]):
            log_axes(axes)
    return sheet.finish(figure, f"data-{name}", f"Distributions: {manifest['dataset']}", caption)


def _group_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    items = []
    for name, cache in plan.caches.items():
        path = workspace.cache(name) / "manifest.json"
        if cache.kind != "groups" or not path.exists():
            continue
        manifest = read_json(path)
        statistics = manifest["statistics"]
        sizes, tokens = statistics["group_size"], statistics["tokens_per_event"]
        figure, (left, right) = sheet.axes(2, width=3.1, height=2.5)
        counts = np.array(sizes["histogram"])
        left.stairs(
            counts / max(counts.sum(), 1), np.arange(len(counts) + 1) - 0.5, fill=True, color=colour(0), alpha=0.75
        )
        left.set_xlim(0, min(len(counts), 160))
        left.set_xlabel("points within r of a centre")
        left.set_ylabel("share of tokens")
        counts = np.array(tokens["histogram"])
        right.stairs(counts, np.arange(len(counts) + 1) * tokens["bin_width"], fill=True, color=colour(0), alpha=0.75)
        right.set_xlabel("tokens per event")
        right.set_ylabel("events")
        dataset = plan.datasets[cache.dataset]
        published = dataset.load_detector().published.get("tokens", {})
        for axes, key in ((left, "points"), (right, "per_event")):
            if key in published:
                label = f"published, about {published[key]}"
                axes.axvline(published[key], color=colour(1), linestyle="--", label=label)
            legend(axes)
        caption = (
            f"{tokenizer(manifest['settings']['method'])}: {tokens['mean']:.0f} tokens per event, {sizes['mean']:.1f} points each before the cap. "
            f"Of all points {100 * statistics['missed_share']:.1f} % lie in no token, {100 * statistics['capped_share']:.1f} % are "
            f"lost to the cap of {manifest['settings']['max_points']}, {100 * statistics['duplicated_share']:.1f} % lie in several tokens."
        )
        items.append(sheet.finish(figure, f"groups-{name}", f"Tokens: {dataset.name}", caption))
    return items
