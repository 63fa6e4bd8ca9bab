"""Look of all figures: one palette, one set of axes, the scale stamped on each."""

import html
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tpcfm.files import atomic

INK, MUTED, GRID = "#1c2733", "#6b7785", "#e3e7ec"
SERIES = ("#2456a6", "#d1495b", "#2a8a63", "#c98a1b", "#7a5195", "#5b7c99", "#a15c38")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "text.color": INK,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "svg.fonttype": "none",
        "svg.hashsalt": "tpcfm",
        "figure.dpi": 110,
    }
)


@dataclass(frozen=True)
class Item:
    """One thing on the page: ``html`` under a heading with a caption."""

    name: str
    title: str
    html: str
    caption: str = ""
    wide: bool = False


class Sheet:
    """Makes the items of one report: stamps figures with the scale and keeps a PNG and an SVG of each for talks and dashboards.

    Args:
        folder: of the figures.
        scale: stamped on each.
        system: begins the name of every item, so that systems do not overwrite each other.
        note: stands behind every title, in brackets.
    """

    def __init__(self, folder: Path, scale: str, system: str = "", note: str = "") -> None:
        self.folder, self.scale, self.system, self.note = folder, scale, system, note

    def of(self, system: str, note: str = "") -> "Sheet":
        """Return the sheet of one system."""
        return Sheet(self.folder, self.scale, system, note)

    def name(self, name: str) -> str:
        """Return the name of an item, as file and as place on the page."""
        return f"{self.system}-{name}" if self.system else name

    def item(self, name: str, title: str, markup: str, caption: str = "", wide: bool = False) -> Item:
        """Return an item under its full name and title."""
        return Item(self.name(name), f"{title} ({self.note})" if self.note else title, markup, caption, wide)

    def axes(
        self, columns: int = 1, rows: int = 1, *, width: float = 4.6, height: float = 3.2, **kwargs: Any
    ) -> tuple[Figure, Any]:
        """Return a new figure and its axes (an array if there are several)."""
        return plt.subplots(rows, columns, figsize=(width * columns, height * rows), layout="constrained", **kwargs)

    def keep(self, figure: Figure, name: str) -> None:
        """Stamp a figure with the scale and save it as PNG and SVG under its full name."""
        figure.text(0.995, 0.002, f"scale: {self.scale}", ha="right", va="bottom", fontsize=6.5, color=MUTED)
        for ending in ("png", "svg"):
            with atomic(self.folder / f"{self.name(name)}.{ending}") as temporary:
                figure.savefig(temporary, format=ending, metadata={"Date": None} if ending == "svg" else None)

    def finish(self, figure: Figure, name: str, title: str, caption: str = "", wide: bool = False) -> Item:
        """Stamp, save and return a figure as inline SVG."""
        figure.set_layout_engine("constrained", rect=(0, 0.03, 1, 0.97))
        self.keep(figure, name)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
        plt.close(figure)
        svg = stream.getvalue()
        svg = svg[svg.index("<svg") :]
        # Ids repeat between figures of one page: prefix them.
        own = self.name(name)
        svg = re.sub(r'id="', f'id="{own}-', svg)
        svg = re.sub(r'(xlink:href="#|url\(#|href="#)', rf"\g<1>{own}-", svg)
        width = f"max-width:{figure.get_figwidth() * 104:.0f}px"
        markup = f'<div class="figure" style="{width}" role="img" aria-label="{html.escape(title)}">{svg}</div>'
        return self.item(name, title, markup, caption, wide)


def legend(axes: Axes, **kwargs: Any) -> None:
    """Add a legend if anything is labelled."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**kwargs)


def log_axes(axes: Axes, x: bool = True, y: bool = False) -> None:
    """Logarithmic axes; over a short range with plain labels at 1, 2, 5, so that they never overlap."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

    for axis, on in ((axes.xaxis, x), (axes.yaxis, y)):
        if not on:
            continue
        (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        low, high = axes.get_xlim() if axis is axes.xaxis else axes.get_ylim()
        axis.set_minor_formatter(NullFormatter())
        if low <= 0 or high / low >= 50:
            axis.set_major_formatter(LogFormatterSciNotation())
            continue
        steps = (1, 2, 5) if high / low > 3 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
        axis.set_major_locator(LogLocator(subs=steps, numticks=12))
        axis.set_major_formatter(FuncFormatter(_plain))


def _plain(value: float, _: int) -> str:
    """Write a tick: as it is in the middle of the range, with a power of ten outside."""
    if 1e-3 <= value < 1e4:
        return f"{value:g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def colour(index: int) -> str:
    """Colour of the i-th series."""
    return SERIES[index % len(SERIES)]


def marker(index: int) -> str:
    """Marker of the i-th series; where the colours begin anew, another one goes with each."""
    return MARKERS[(index + index // len(SERIES)) % len(MARKERS)]
