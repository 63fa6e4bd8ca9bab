"""The documents say what is there: map of the code, locks, README commands, links; the arrows between rooms hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tpcfm"
TORCH_FREE = (
    "config",
    "plan",
    "detectors",
    "readers",
    "release",
    "events",
    "prepare",
    "tracking",
    "evaluate",
    "scaling",
    "simulate",
    "report",
)


def _imports(path: Path) -> set[str]:
    """Modules that a file imports when it runs (imports for type checkers only do not count)."""
    names = set()
    queue: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            queue += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        queue += ast.iter_child_nodes(node)
    return names


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


@pytest.mark.parametrize("room", TORCH_FREE)
def test_torch_free_rooms_import_no_torch(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        wrong = {n for n in _imports(path) if n == "torch" or n.startswith("torch.")}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}"


@pytest.mark.parametrize("room", ["nn", "models", "losses"])
def test_networks_know_nothing_of_files_and_training(room: str) -> None:
    forbidden = (
        "h5py",
        "pyarrow",
        "mlflow",
        "snakemake",
        "tpcfm.train",
        "tpcfm.readers",
        "tpcfm.systems",
        "tpcfm.workspace",
    )
    for path in (PACKAGE / room).rglob("*.py"):
        wrong = {n for n in _imports(path) if n.startswith(forbidden)}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}"


def test_the_trainer_knows_no_model() -> None:
    for path in (PACKAGE / "train").rglob("*.py"):
        wrong = {n for n in _imports(path) if n.startswith(("tpcfm.models", "tpcfm.systems", "tpcfm.tasks"))}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}"


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
