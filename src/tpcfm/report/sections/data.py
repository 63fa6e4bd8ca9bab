"""Section "Data": what was ingested, beside the published aggregates."""

from typing import Any

import numpy as np

from tpcfm.detectors import pilarnet, sphenix
from tpcfm.files import read_json
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes
from tpcfm.report.tables import table
from tpcfm.workspace import Workspace


def manifests(plan: Plan, workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Return the manifest of every dataset that has been ingested."""
    paths = {name: workspace.events(name) / "manifest.json" for name in plan.datasets}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def _published(layout: str) -> dict[str, float]:
    if layout == "pilarnet":
        voxels = np.array(pilarnet.PUBLISHED_VOXELS, dtype=float)
        kept = voxels[:4] / voxels[:4].sum()
        values = {f"share of {name}": share for name, share in zip(pilarnet.SEGMENTATION_CLASSES, kept, strict=True)}
        values["share of low-energy deposits, all points"] = voxels[4] / voxels.sum()
        values["points per event"] = voxels.sum() / pilarnet.PUBLISHED_EVENTS
        values["trajectories per event"] = pilarnet.PUBLISHED_TRAJECTORIES / pilarnet.PUBLISHED_EVENTS
        return values
    values = {f"share of {sphenix.PID[i]}": share for i, share in enumerate(sphenix.PUBLISHED_PID_SHARES)}
    values["share of noise"] = sphenix.PUBLISHED_NOISE_SHARE
    values["points per event"] = sphenix.PUBLISHED_POINTS_PER_EVENT
    values["tracks per event"] = sphenix.PUBLISHED_TRACKS_PER_EVENT
    values["energy mean (ADC)"], values["energy standard deviation (ADC)"] = sphenix.PUBLISHED_ENERGY_MEAN_STD
    return values


def _ours(manifest: dict[str, Any]) -> dict[str, float]:
    statistics = manifest["statistics"]
    histograms, shares = statistics["histograms"], statistics["shares"]
    values: dict[str, Any] = {"points per event": histograms["points_per_event"].get("mean")}
    if manifest["layout"] == "pilarnet":
        semantic = {int(k): v or 0.0 for k, v in shares["semantic"].items()}
        kept = sum(semantic[i] for i in range(4)) or 1.0
        for index, name in enumerate(pilarnet.SEGMENTATION_CLASSES):
            values[f"share of {name}"] = semantic[index] / kept
        values["share of low-energy deposits, all points"] = semantic[pilarnet.LOW_ENERGY]
        values["trajectories per event"] = histograms["clusters_per_event"].get("mean")
        return values
    for key, share in shares["pid"].items():
        values[f"share of {sphenix.PID[int(key)]}"] = share
    values["share of noise"] = shares["noise"]["1"]
    values["tracks per event"] = histograms["tracks_per_event"].get("mean")
    values["energy mean (ADC)"] = histograms["energy"].get("mean")
    values["energy standard deviation (ADC)"] = histograms["energy"].get("std")
    return values


def _histogram(axes: Any, histogram: dict[str, Any], label: str, log: bool) -> None:
    edges, counts = np.array(histogram["edges"]), np.array(histogram["counts"], dtype=float)
    filled = np.flatnonzero(counts)
    if not len(filled):
        axes.text(0.5, 0.5, "no entries", transform=axes.transAxes, ha="center")
        return
    first, last = filled[0], filled[-1] + 1
    group = max(1, (last - first) // 40)
    starts = np.arange(first, last, group)
    summed = np.add.reduceat(counts[first:last], starts - first)
    bounds = np.append(edges[starts], edges[last])
    axes.stairs(summed / counts.sum(), bounds, fill=True, color=colour(0), alpha=0.75)
    axes.set_xlabel(label)
    axes.set_ylabel("share")
    if log:
        log_axes(axes)


def data_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return table and distributions of every dataset."""
    items = []
    for name, manifest in sorted(manifests(plan, workspace).items(), key=lambda item: item[1]["layout"]):
        layout = manifest["layout"]
        published, ours = _published(layout), _ours(manifest)
        origin = "simulated" if plan.datasets[name].source["simulate"] else "given files"
        rows = [[key, ours.get(key), value] for key, value in published.items()]
        release = "PILArNet-M" if layout == "pilarnet" else "TPCpp-10M"
        splits = ", ".join(f"{k} {v}" for k, v in manifest["splits"].items())
        caption = (
            f"{manifest['events']} events, {manifest['points']:,} points in {len(manifest['parts'])} files ({origin}); {splits}; "
            f"{manifest['rejected']} rejected. Right: aggregates published for {release}."
        )
        items.append(
            table(
                f"data-{name}", f"{release} layout: {manifest['dataset']}", ["quantity", "here", release], rows, caption
            )
        )
        wanted = {
            "pilarnet": [
                ("points_per_event", "points per event", True),
                ("clusters_per_event", "particle fragments per event", False),
                ("points_per_cluster", "points per fragment", True),
                ("energy", "energy per voxel (MeV)", True),
            ],
            "tpcpp": [
                ("points_per_event", "spacepoints per event", True),
                ("tracks_per_event", "tracks per event", False),
                ("points_per_track", "points per track", True),
                ("energy", "ionisation (ADC)", True),
            ],
        }[layout]
        figure, grid = sheet.axes(2, 2, width=3.1, height=2.2)
        for axes, (key, label, log) in zip(grid.flat, wanted, strict=True):
            _histogram(axes, manifest["statistics"]["histograms"][key], label, log)
        items.append(sheet.finish(figure, f"data-{name}", f"Distributions: {manifest['dataset']}"))
    return items + _group_items(plan, workspace, sheet)


def _group_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    items = []
    for name, cache in plan.caches.items():
        path = workspace.cache(name) / "manifest.json"
        if cache.kind != "groups" or not path.exists():
            continue
        manifest = read_json(path)
        statistics = manifest["statistics"]
        figure, (left, right) = sheet.axes(2, width=3.1, height=2.5)
        sizes = np.array(statistics["group_size"]["histogram"])
        left.stairs(
            sizes / max(sizes.sum(), 1), np.arange(len(sizes) + 1) - 0.5, fill=True, color=colour(0), alpha=0.75
        )
        left.set_xlim(0, min(len(sizes), 160))
        left.axvline(16, color=colour(1), linestyle="--", label="published peak, about 16")
        left.set_xlabel("points within r of a centre")
        left.set_ylabel("share of groups")
        legend(left)
        tokens = statistics["tokens_per_event"]
        counts = np.array(tokens["histogram"])
        right.stairs(counts, np.arange(len(counts) + 1) * tokens["bin_width"], fill=True, color=colour(0), alpha=0.75)
        right.axvline(400, color=colour(1), linestyle="--", label="published, about 400")
        right.set_xlabel("groups per event")
        right.set_ylabel("events")
        legend(right)
        caption = (
            f"C-NMS groups: {tokens['mean']:.0f} per event, {statistics['group_size']['mean']:.1f} points each before the cap. "
            f"Of all points {100 * statistics['missed_share']:.1f} % lie in no group, {100 * statistics['capped_share']:.1f} % are "
            f"lost to the cap of {manifest['settings']['max_points']}, {100 * statistics['duplicated_share']:.1f} % lie in several groups."
        )
        items.append(sheet.finish(figure, f"groups-{name}", "Tokens of PoLAr-MAE", caption))
    return items
