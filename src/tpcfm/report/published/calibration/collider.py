"""The collider simulation beside the published aggregates of TPCpp-10M (arXiv 2508.14087 and 2509.05792)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import ClassLabel
from tpcfm.detectors.registry import load_detector
from tpcfm.files import atomic
from tpcfm.simulate.collider.event import Event
from tpcfm.simulate.collider.files import SourceName, simulate_events

_DETECTOR = load_detector("sphenix")
_PUBLISHED = _DETECTOR.published
_PID = _DETECTOR.labels["pid"]
assert isinstance(_PID, ClassLabel)
PID, PID_COLOURS = dict(zip(_PID.values, _PID.names)), _PID.colours()
PUBLISHED_POINTS_PER_EVENT, PUBLISHED_TRACKS_PER_EVENT = _PUBLISHED["points_per_event"], _PUBLISHED["tracks_per_event"]
PUBLISHED_PID_SHARES, PUBLISHED_NOISE_SHARE = _PUBLISHED["shares"]["pid"], _PUBLISHED["shares"]["noise"][1]
PUBLISHED_ENERGY_MEAN_STD = _PUBLISHED["energy_mean_std"]
LONG_EVENT = 3200  # points; longer events are left out in the published training
# Of the 7,000 labelled test events 6,943 are left by that cut, with 5,793,045 points and 107,003 tracks.
PUBLISHED_LONG_SHARE = 57 / 7000
PUBLISHED_SHORT_POINTS = 5_793_045 / 6943
PUBLISHED_ENERGY_RANGE = (23.0, 6250.0)


@dataclass(frozen=True)
class Row:
    """One aggregate: ours, the statistical error of ours, and the published value."""

    name: str
    ours: float
    error: float
    published: float


def _mean_row(name: str, per_event: npt.NDArray[np.float64], published: float) -> Row:
    return Row(name, float(per_event.mean()), float(per_event.std(ddof=1) / len(per_event) ** 0.5), published)


def _share_row(name: str, part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64], published: float) -> Row:
    """Share of points with its error over events (points of one event are not independent)."""
    share = part.sum() / whole.sum()
    error = np.sqrt(((part - share * whole) ** 2).sum()) / whole.sum()
    return Row(name, float(share), float(error), published)


def aggregates(sample: Sequence[Event]) -> list[Row]:
    """Return the aggregates of simulated events that have a published counterpart (two events at least)."""
    points = np.array([len(event.points) for event in sample], dtype=np.float64)
    tracks = np.array([len(event.particles) for event in sample], dtype=np.float64)
    energy = np.concatenate([event.points[:, 0] for event in sample]).astype(np.float64)
    moments = np.array(
        [
            (event.points[:, 0].astype(np.float64).sum(), (event.points[:, 0].astype(np.float64) ** 2).sum())
            for event in sample
        ]
    )
    short = points <= LONG_EVENT
    rows = [
        _mean_row("points per event", points, PUBLISHED_POINTS_PER_EVENT),
        _mean_row(f"points per event of at most {LONG_EVENT}", points[short], PUBLISHED_SHORT_POINTS),
        _mean_row(f"tracks per event of at most {LONG_EVENT}", tracks[short], PUBLISHED_TRACKS_PER_EVENT),
        _mean_row(f"share of events above {LONG_EVENT} points", (~short).astype(np.float64), PUBLISHED_LONG_SHARE),
    ]
    for code, name in PID.items():
        part = np.array([(event.pid == code).sum() for event in sample], dtype=np.float64)
        rows.append(_share_row(f"share of points: {name}", part, points, PUBLISHED_PID_SHARES[code]))
    noise = np.array([event.noise.sum() for event in sample], dtype=np.float64)
    rows.append(_share_row("share of points: noise", noise, points, PUBLISHED_NOISE_SHARE))
    mean, std = PUBLISHED_ENERGY_MEAN_STD
    rows.append(_share_row("energy, mean", moments[:, 0], points, mean))
    spread = float(energy.std())
    second = _share_row("", moments[:, 1] - 2 * energy.mean() * moments[:, 0] + energy.mean() ** 2 * points, points, 0)
    rows.append(Row("energy, standard deviation", spread, second.error / (2 * spread), std))
    rows.append(Row("energy, smallest", float(energy.min()), float("nan"), PUBLISHED_ENERGY_RANGE[0]))
    rows.append(Row("energy, largest", float(energy.max()), float("nan"), PUBLISHED_ENERGY_RANGE[1]))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the comparison as text, one aggregate per line."""
    lines = [f"{'':42s} {'ours':>10s} {'± stat.':>9s} {'published':>10s} {'ratio':>7s}"]
    for row in rows:
        digits = 4 if row.published < 1 else 1
        error = "" if np.isnan(row.error) else f"{row.error:.{digits}f}"
        lines.append(
            f"{row.name:42s} {row.ours:10.{digits}f} {error:>9s} {row.published:10.{digits}f} "
            f"{row.ours / row.published:7.2f}"
        )
    return "\n".join(lines)


def draw(sample: Sequence[Event], figure: Path) -> None:
    """Write a figure: points per event, class shares, energies, points per track, energy per momentum, one event."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(15, 8.5), layout="constrained")
    axes = sheet.subplots(2, 3)
    points = np.array([len(event.points) for event in sample])
    axes[0, 0].hist(points, bins=np.linspace(0, 6000, 61), histtype="step", color="k")
    axes[0, 0].axvline(points.mean(), color="k", lw=1, label=f"mean, ours {points.mean():.0f}")
    axes[0, 0].axvline(
        PUBLISHED_POINTS_PER_EVENT, color="tab:red", lw=1, ls="--", label=f"published {PUBLISHED_POINTS_PER_EVENT:.0f}"
    )
    axes[0, 0].set(yscale="log", xlabel="points per event", ylabel="events")
    axes[0, 0].legend()

    pid = np.concatenate([event.pid for event in sample])
    noise = np.concatenate([event.noise for event in sample])
    names = [*PID.values(), "noise"]
    ours = [float((pid == code).mean()) for code in PID] + [float(noise.mean())]
    place = np.arange(len(names))
    axes[0, 1].bar(place - 0.2, ours, 0.4, color="0.3", label="ours")
    axes[0, 1].bar(place + 0.2, [*PUBLISHED_PID_SHARES, PUBLISHED_NOISE_SHARE], 0.4, color="tab:red", label="published")
    axes[0, 1].set_xticks(place, names)
    axes[0, 1].set_ylabel("share of points")
    axes[0, 1].legend()

    energy = np.concatenate([event.points[:, 0] for event in sample])
    bins = np.geomspace(20, 7000, 80)
    for code, name in PID.items():
        axes[0, 2].hist(energy[pid == code], bins=bins, histtype="step", color=PID_COLOURS[code], label=name)
    mean, std = PUBLISHED_ENERGY_MEAN_STD
    axes[0, 2].set(xscale="log", yscale="log", xlabel="energy of a point (ADC)", ylabel="points")
    axes[0, 2].set_title(
        f"mean {energy.mean():.0f}, deviation {energy.std():.0f}; published {mean:.0f}, {std:.0f}", fontsize=10
    )
    axes[0, 2].legend()

    counts = np.concatenate([np.bincount(event.track, minlength=len(event.particles)) for event in sample])
    axes[1, 0].hist(counts, bins=np.linspace(0, 300, 101), histtype="step", color="k")
    axes[1, 0].set(yscale="log", xlabel="points per track", ylabel="tracks", title="48 layers")

    momentum = np.concatenate(
        [np.sqrt((event.particles[:, 2:5] ** 2).sum(axis=1))[event.track] for event in sample[:400]]
    )
    shown = len(momentum)
    for code, name in PID.items():
        pick = pid[:shown] == code
        axes[1, 1].scatter(momentum[pick], energy[:shown][pick], s=0.3, color=PID_COLOURS[code], label=name, alpha=0.4)
    axes[1, 1].set(xscale="log", yscale="log", xlabel="momentum at production (GeV/c)", ylabel="energy (ADC)")

    event = sample[int(np.argmin(np.abs(points - PUBLISHED_POINTS_PER_EVENT)))]
    axes[1, 2].scatter(event.points[:, 1], event.points[:, 2], s=2, c=[PID_COLOURS[int(code)] for code in event.pid])
    axes[1, 2].set(xlabel="x (cm)", ylabel="y (cm)", aspect="equal", title=f"{len(event.points)} points")
    with atomic(figure) as temporary:
        sheet.savefig(temporary, dpi=120)


def calibrate(source: SourceName, count: int, seed: int, figure: Path | None = None) -> str:
    """Simulate ``count`` events and return the comparison as text; with ``figure`` also draw it."""
    sample = list(simulate_events(source, seed, 0, count))
    if figure is not None:
        draw(sample, figure)
    return table(aggregates(sample))
