"""Pages run no script but their own: names of events and files cannot bring one in, and what would get in anyway does not run."""

import html.parser
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pages import demo_plan
from tpcfm.detectors.registry import load_detector
from tpcfm.events.schema import event_schema
from tpcfm.report.draw.colouring import event_picture
from tpcfm.report.draw.embed import show_picture
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.page import Section, write_page
from tpcfm.report.show import show_event
from tpcfm.report.tables import table

PILARNET = load_detector("pilarnet")
HOSTILE = (
    "</script></title>\"'><script>document.title='run'</script><img src=x onerror=\"document.title='run'\"><!--<script>"
)
BROWSER = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)


class Elements(html.parser.HTMLParser):
    """What a page holds: tags, attributes that run something, text of executable scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.policies: list[str] = []
        self.handlers: list[str] = []
        self.canvases = 0
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in_script = tag == "script" and "type" not in values
        if self._in_script:
            self.scripts.append("")
        self.canvases += tag == "canvas"
        self.handlers += [name for name in values if name.startswith("on")]
        if values.get("http-equiv") == "Content-Security-Policy":
            assert not self.scripts, "a policy holds for what comes after it"
            self.policies.append(values["content"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def event(n: int = 30) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {k: rng.integers(0, 768, n).astype(np.int32) for k in "xyz"}
    return found | {"energy": rng.uniform(0.1, 5, n), "semantic": np.arange(n) % 5}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report and a display about events, files and runs with names that try to run a script."""
    folder = tmp_path_factory.mktemp("pages")
    sheet = Sheet(folder / "figures", "demo")
    shown = show_picture(sheet, event_picture(event(), ["semantic"], PILARNET, HOSTILE), "event", HOSTILE, HOSTILE)
    rows = table(sheet, "rows", HOSTILE, ["run", HOSTILE], [[HOSTILE, 1.0]], HOSTILE)
    report = folder / "index.html"
    write_page(demo_plan(folder, "polar_mae"), [Section("a", HOSTILE, HOSTILE, [shown, rows])], report, 1)
    schema = event_schema(PILARNET)
    values = {"event_id": HOSTILE, "n_points": 30, "split": "test", **{k: v.tolist() for k, v in event().items()}}
    one = pa.Table.from_pylist([{field.name: values.get(field.name) for field in schema}], schema=schema)
    pq.write_table(one, folder / "events.parquet")
    show_event(folder / "events.parquet", 0, ["semantic"], folder / "display.html")
    return {"report": report, "display": folder / "display.html"}


@pytest.mark.parametrize("name", ["report", "display"])
def test_names_bring_no_script_in(pages: dict[str, Path], name: str) -> None:
    found = Elements(pages[name].read_text())
    assert len(found.scripts) == {"report": 2, "display": 3}[name]
    assert not any("<script>document" in script for script in found.scripts)
    assert found.handlers == []
    (policy,) = found.policies
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("'sha256-") == len(found.scripts)
    assert "unsafe-eval" not in policy
    assert "http" not in policy


def look(page: Path, folder: Path) -> str:
    command = [str(BROWSER), "--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={folder}"]
    command += ["--enable-unsafe-swiftshader", "--window-size=1200,1000", "--virtual-time-budget=20000", "--dump-dom"]
    return subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=300, check=True).stdout


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed to open pages with")


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("name", ["report", "display"])
def test_displays_are_drawn_under_the_policy(pages: dict[str, Path], name: str, tmp_path: Path) -> None:
    page = look(pages[name], tmp_path)
    assert "<title>run" not in page
    assert Elements(page).canvases, "the display has not been drawn"


@needs_browser
@pytest.mark.slow
def test_a_script_that_gets_in_does_not_run(tmp_path: Path) -> None:
    markup = "<script>document.title='run'</script><img src=\"x\" onerror=\"document.title='run'\">"
    sections = [Section("a", "A", "", [Item("bad", "Bad", markup)])]
    write_page(demo_plan(tmp_path, "polar_mae"), sections, tmp_path / "index.html", 1)
    page = look(tmp_path / "index.html", tmp_path / "browser")
    assert markup[:20] in page
    assert "<title>run" not in page
