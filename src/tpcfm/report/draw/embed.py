"""Rotatable displays on the page: drawn when they come into view, a still picture until then (and without WebGL)."""

import base64
import html
import io
import json

import matplotlib.pyplot as plt
import plotly.graph_objects as go
from matplotlib.figure import Figure

from tpcfm.report.draw.displays import CONFIG, LINK_CAMERAS
from tpcfm.report.draw.panels import Picture, rotatable, still
from tpcfm.report.draw.style import Item, Sheet

MARK = 'class="plot"'
POSTER_DPI = 60

# Browsers keep some sixteen drawing contexts per page, and every scene needs one: displays out of view give theirs back.
SCRIPT = (
    LINK_CAMERAS
    + """
(function () {
  const canvas = document.createElement("canvas");
  if (!(canvas.getContext("webgl2") || canvas.getContext("webgl"))) {  // the stills stay, in their own shape
    document.querySelectorAll(".plot").forEach(plot => { plot.style.height = "auto"; });
    return;
  }
  const kept = new Map();
  function draw(plot) {
    if (plot.dataset.drawn) return;
    const spec = kept.get(plot) || JSON.parse(document.getElementById(plot.id + "-data").textContent);
    plot.dataset.drawn = "yes";
    plot.replaceChildren();
    Plotly.newPlot(plot, spec.data, spec.layout, CONFIG).then(() => linkCameras(plot));
  }
  function clear(plot) {
    if (!plot.dataset.drawn) return;
    kept.set(plot, { data: plot.data, layout: plot.layout });
    Plotly.purge(plot);
    plot.replaceChildren();
    delete plot.dataset.drawn;
  }
  const watch = new IntersectionObserver(
    entries => entries.forEach(entry => (entry.isIntersecting ? draw : clear)(entry.target)), { rootMargin: "150px" }
  );
  document.querySelectorAll(".plot").forEach(plot => watch.observe(plot));
})();
""".replace("CONFIG", json.dumps(CONFIG))
)


def show_picture(sheet: Sheet, picture: Picture, name: str, title: str, caption: str = "") -> Item:
    """Return a picture as a rotatable item, and keep its stills beside the page."""
    return show_figure(sheet, rotatable(picture), still(picture), name, title, caption)


def show_figure(sheet: Sheet, figure: go.Figure, picture: Figure, name: str, title: str, caption: str = "") -> Item:
    """Return a plotly figure as a rotatable item.

    Args:
        sheet: keeps the still picture as PNG and SVG.
        figure: what is drawn in view.
        picture: its still form; closed here.
        name: id on the page and name of the still files.
        title, caption: heading and text of the item.
    """
    stream = io.BytesIO()
    picture.savefig(stream, format="png", dpi=POSTER_DPI)
    sheet.keep(picture, name)
    plt.close(picture)
    poster = base64.b64encode(stream.getvalue()).decode()
    # "</" would end the script element early.
    spec = str(figure.to_json()).replace("</", "<\\/")
    height = int(figure.layout.height)
    markup = (
        f'<div class="display"><div {MARK} id="display-{name}" style="height:{height}px" role="img" aria-label="{html.escape(title)}">'
        f'<img src="data:image/png;base64,{poster}" alt="{html.escape(title)}"></div></div>'
        f'<script type="application/json" id="display-{name}-data">{spec}</script>'
    )
    return Item(name, title, markup, caption, wide=True)
