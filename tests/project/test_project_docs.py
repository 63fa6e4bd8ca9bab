"""The documents say what is there: map of the code, locks, README commands, links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tpcfm"


def test_the_map_is_what_the_files_say() -> None:
    result = subprocess.run([sys.executable, "tools/map.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_make_target_of_the_readme_exists() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?:`|^)make ([a-z]+)", readme, re.M))
    assert {"demo", "test", "bench"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_verb_of_the_readme_exists() -> None:
    verbs = {p.stem.replace("_", "-") for p in (PACKAGE / "cli").glob("*.py")}
    for verb in re.findall(r"`tpcfm ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert verb in verbs, verb


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_locks_agree_with_each_other() -> None:
    locks: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "envs").glob("*.txt")):
        if path.stem == "cuda":
            continue  # another Python and torch on purpose; compared in tests/cluster
        lines = [line for line in path.read_text().splitlines() if "==" in line and not line.startswith("#")]
        locks[path.stem] = dict(line.split("==") for line in lines)
    for name, lock in locks.items():
        for other, versions in locks.items():
            for package in lock.keys() & versions.keys():
                assert lock[package] == versions[package], f"{package}: {name} and {other} differ"
