"""Rotatable displays on the page: drawn when they come into view, a still picture until then (and without WebGL)."""

import base64
import html
import io
import json

import matplotlib.pyplot as plt

from tpcfm.report.draw.panels import Picture
from tpcfm.report.draw.rotatable import CONFIG, LINK_CAMERAS, rotatable
from tpcfm.report.draw.stills import still
from tpcfm.report.draw.style import Item, Sheet

MARK = 'class="plot"'
POSTER_DPI = 60

# Every scene needs a drawing context, and a browser takes the oldest of more than some sixteen away: so many displays nearest to
# the middle of the window are drawn as fit, the others show their still; a click on a still draws it before all others.
SCRIPT = (
    LINK_CAMERAS
    + """
(function () {
  const canvas = document.createElement("canvas");
  if (!(canvas.getContext("webgl2") || canvas.getContext("webgl"))) {  // the stills stay, in their own shape
    document.querySelectorAll(".plot").forEach(plot => { plot.style.height = "auto"; });
    return;
  }
  const SCENES = 12, near = new Set(), kept = new Map();
  let asked = null, waiting = false;
  function draw(plot) {
    const spec = kept.get(plot) || JSON.parse(document.getElementById(plot.id + "-data").textContent);
    plot.dataset.drawn = "yes";
    plot.poster = plot.poster || plot.firstElementChild;
    plot.replaceChildren();
    Plotly.newPlot(plot, spec.data, spec.layout, CONFIG).then(() => linkCameras(plot));
  }
  function clear(plot) {
    kept.set(plot, { data: plot.data, layout: plot.layout });
    Plotly.purge(plot);
    plot.replaceChildren(plot.poster);
    delete plot.dataset.drawn;
  }
  function distance(plot) {
    const box = plot.getBoundingClientRect();
    return plot === asked ? -1 : Math.abs((box.top + box.bottom - window.innerHeight) / 2);
  }
  function update() {
    waiting = false;
    let room = SCENES;
    const chosen = new Set();
    [...near].sort((a, b) => distance(a) - distance(b)).forEach(plot => {
      const scenes = Number(plot.dataset.scenes);
      if (!chosen.size || scenes <= room) { chosen.add(plot); room -= scenes; }
    });
    document.querySelectorAll(".plot[data-drawn]").forEach(plot => { if (!chosen.has(plot)) clear(plot); });
    chosen.forEach(plot => { if (!plot.dataset.drawn) draw(plot); });
  }
  function later() {
    if (!waiting) { waiting = true; setTimeout(update, 120); }
  }
  const watch = new IntersectionObserver(entries => {
    entries.forEach(entry => (entry.isIntersecting ? near.add(entry.target) : near.delete(entry.target)));
    later();
  }, { rootMargin: "150px" });
  document.querySelectorAll(".plot").forEach(plot => {
    watch.observe(plot);
    plot.addEventListener("click", () => { if (!plot.dataset.drawn) { asked = plot; later(); } });
  });
  window.addEventListener("scroll", () => { asked = null; later(); }, { passive: true });
})();
""".replace("CONFIG", json.dumps(CONFIG))
)


def show_picture(sheet: Sheet, picture: Picture, name: str, title: str, caption: str = "", height: int = 420) -> Item:
    """Return a picture as a rotatable item, and keep its stills beside the page.

    Args:
        sheet: keeps the still picture as PNG and SVG.
        picture: what to draw.
        name: id on the page and name of the still files.
        title, caption: heading and text of the item.
        height: pixels of a row of panels.
    """
    figure = rotatable(picture, height)
    fixed = still(picture)
    stream = io.BytesIO()
    fixed.savefig(stream, format="png", dpi=POSTER_DPI)
    sheet.keep(fixed, name)
    plt.close(fixed)
    poster = base64.b64encode(stream.getvalue()).decode()
    # "</" would end the script element early, "<!--" would hide its end.
    spec = str(figure.to_json()).replace("<", "\\u003c")
    scenes = 1 if picture.alternatives else len(picture.panels)
    label, own = html.escape(title), sheet.name(name)
    markup = (
        f'<div class="display"><div {MARK} id="display-{own}" data-scenes="{scenes}" style="height:{int(figure.layout.height)}px" '
        f'role="img" aria-label="{label}">'
        f'<img src="data:image/png;base64,{poster}" alt="{label}"></div></div>'
        f'<script type="application/json" id="display-{own}-data">{spec}</script>'
    )
    return sheet.item(name, title, markup, caption, wide=True)
