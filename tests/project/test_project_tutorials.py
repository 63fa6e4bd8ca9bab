"""The tutorials are true: every command and every Python example of docs/tutorials runs, in order, and prints what the page shows.

Each page is one session in a copy of the workflow; the Python page reads what the others made. Output is compared up to numbers and
hashes, and ``...`` stands for anything.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_checkout import ROOT, Checkout, copy_checkout, environment

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"\b[0-9a-f]{8,12}\b|\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
RUNNERS = {"bash": ["bash", "-euo", "pipefail"], "python": [sys.executable]}


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks of a page."""
    return BLOCK.findall((TUTORIALS / page).read_text())


def plain(text: str) -> str:
    """Return text with one blank between words and # in place of every number and hash."""
    return NUMBER.sub("#", re.sub(r"\s+", " ", text.strip()))


def shown(line: str) -> re.Pattern[str]:
    """Return the pattern of a line of expected output."""
    return re.compile(".*".join(re.escape(plain(piece)) for piece in line.split("...")))


def run_page(checkout: Checkout, page: str, language: str) -> None:
    """Run the blocks of one language as one session; what each prints must hold the lines of the text block after it."""
    found = [(kind, content) for kind, content in blocks(page) if kind in (language, "text")]
    scripts = [content for kind, content in found if kind == language]
    marker = {"bash": "echo '=== block {}'\n", "python": "print('=== block {}', flush=True)\n"}[language]
    session = "".join(marker.format(number) + content for number, content in enumerate(scripts))
    file = checkout.folder / f"{page}.{language}"
    file.write_text(session)
    done = subprocess.run(
        [*RUNNERS[language], str(file)],
        cwd=checkout.folder,
        env=environment() | {"COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, f"{page}: {done.stdout[-6000:]}"
    printed = re.split(r"^=== block \d+\n", done.stdout, flags=re.M)[1:]
    number = -1
    for kind, content in found:
        if kind == language:
            number += 1
            continue
        lines = [plain(line) for line in printed[number].splitlines()]
        for line in content.splitlines():
            assert any(shown(line).search(have) for have in lines), f"{page}: {line!r} is not in:\n{printed[number]}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the workflow in which the tutorials run one after another."""
    return copy_checkout(tmp_path_factory.mktemp("tutorials"))


@pytest.fixture(scope="module")
def argon(checkout: Checkout) -> Path:
    """What the liquid-argon tutorial leaves."""
    run_page(checkout, "liquid-argon.md", "bash")
    return checkout.folder / "results" / "argon"


@pytest.fixture(scope="module")
def collider(checkout: Checkout) -> Path:
    """What the collider tutorial leaves."""
    run_page(checkout, "collider.md", "bash")
    return checkout.folder / "results" / "collider"


def outputs(page: str) -> list[str]:
    """Files that the commands of a page name after ``--out``."""
    return sorted({name for _, text in blocks(page) for name in re.findall(r"--out (\S+\.\w+)", text)})


def test_liquid_argon(argon: Path, checkout: Checkout) -> None:
    assert len(outputs("liquid-argon.md")) > 5
    assert all((checkout.folder / name).stat().st_size > 0 for name in outputs("liquid-argon.md"))


def test_collider(collider: Path, checkout: Checkout) -> None:
    assert len(outputs("collider.md")) > 5
    assert all((checkout.folder / name).stat().st_size > 0 for name in outputs("collider.md"))


def test_python(argon: Path, collider: Path, checkout: Checkout) -> None:
    run_page(checkout, "python.md", "python")


def test_every_page_is_run_whole() -> None:
    pages = {page.name: {kind for kind, _ in blocks(page.name)} for page in TUTORIALS.glob("*.md")}
    assert pages == {
        "liquid-argon.md": {"bash", "text"},
        "collider.md": {"bash", "text"},
        "python.md": {"python", "text"},
    }, "a new page, or a language that no test runs"
    for page in pages:
        assert len(re.findall(r"^```", (TUTORIALS / page).read_text(), re.M)) == 2 * len(blocks(page)), page
