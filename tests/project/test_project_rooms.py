"""The rules of the house, read from the sources: which room may import which, no circles, no names of detectors or families.

ALLOWED lists the files that still break a rule, with the reason. It can only shrink: a listed file without an offence is a failure.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "tpcfm"
ORDER = [
    "errors", "files", "kernels", "backends", "workspace", "config", "detectors", "plan", "readers", "release",
    "events", "simulate", "prepare", "nn", "models", "losses", "train", "tracking", "evaluate", "tasks", "systems",
    "inference", "scaling", "report", "cli",
]  # fmt: skip
NO_TORCH = {*ORDER[: ORDER.index("nn")], "tracking", "evaluate", "scaling", "report"}
DETECTOR_BASE = {"config.base", "config.text"}
NAMES = {
    "detector": (
        re.compile(r"(?<![a-z])(?:pilarnet|sphenix|tpcpp|lartpc)"),
        # The last one says what published weights were trained on.
        {"detectors", "simulate", "readers", "release", "report.published", "cli.simulate", "cli.fetch"}
        | {"systems.polar_mae.released_weights"},
    ),
    "family": (
        re.compile(r"(?<![a-z])(?:polar_?mae|fm4npp)|(?<=models\.)baselines|(?<=systems\.)baselines"),
        {"models", "systems", "report.published", "cli.import_fm4npp", "cli.import_polar_mae"},
    ),
}

ALLOWED: dict[str, dict[str, str]] = {
    "upwards": {},
    "circle": {},
    "detector": {},
    "family": {
        "cli.prepare": "verbs that know the first two families",
        "prepare.groups.tokenizer_study": "study of one family",
    },
}


@cache
def sources() -> dict[str, ast.Module]:
    """Dotted name below tpcfm -> syntax tree."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found["" if name == "__init__" else name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def targets(node: ast.AST) -> list[str]:
    """What an import statement brings, below tpcfm."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tpcfm":
        base = (node.module or "").removeprefix("tpcfm").removeprefix(".")
        joined = [f"{base}.{alias.name}".strip(".") for alias in node.names]
        return sorted({name if name in sources() else base for name in joined})
    if isinstance(node, ast.Import):
        return [a.name.removeprefix("tpcfm.") for a in node.names if a.name.startswith("tpcfm.")]
    return []


def checking_only(tree: ast.Module) -> set[int]:
    """Imports for type checkers alone: they never run."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    return {id(inner) for block in blocks for inner in ast.walk(block)}


@cache
def imports() -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, anywhere in the file."""
    found: dict[str, set[str]] = {}
    for name, tree in sources().items():
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        found[name] = {target for node in nodes for target in targets(node) if target} - {name}
    return found


def room(module: str) -> str:
    return module.split(".")[0]


def upwards(module: str) -> str:
    """What a module imports from rooms that stand to its right."""
    if room(module) not in ORDER:
        return ""
    place = ORDER.index(room(module))
    wrong = {t for t in imports()[module] if room(t) in ORDER and ORDER.index(room(t)) > place}
    if room(module) == "detectors":
        wrong |= {t for t in imports()[module] if room(t) == "config" and t not in DETECTOR_BASE}
    return ", ".join(sorted(wrong))


def circle(module: str) -> str:
    """A way from a module back to itself."""
    ways = [(target, [module, target]) for target in imports()[module]]
    seen = set()
    while ways:
        at, way = ways.pop()
        if at == module:
            return " -> ".join(way)
        if at not in seen:
            seen.add(at)
            ways += [(target, [*way, target]) for target in imports().get(at, ())]
    return ""


def foreign(module: str) -> str:
    """torch in rooms without it; files and dashboards in rooms of arithmetic."""
    tree = sources()[module]
    skipped = checking_only(tree)
    names = set()
    for node in ast.walk(tree):
        if id(node) not in skipped:
            names |= {a.name.split(".")[0] for a in node.names} if isinstance(node, ast.Import) else set()
            names |= {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
    banned = {"torch"} if room(module) in NO_TORCH else set()
    if room(module) in ("nn", "models", "losses"):
        banned |= {"mlflow", "snakemake", "h5py", "pyarrow", "pandas", "safetensors"}
        names |= {t for t in imports()[module] if t in ("files", "workspace")}
        banned |= {"files", "workspace"}
    return ", ".join(sorted(names & banned))


def named(module: str, kind: str) -> str:
    """Names of detectors or families in strings, identifiers and imports; docstrings and prose (PILArNet-M) say what they like."""
    pattern, homes = NAMES[kind]
    if any(f"{module}.".startswith(f"{home}.") for home in homes):
        return ""
    tree = sources()[module]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(n.body[0].value)
        for n in ast.walk(tree)
        if isinstance(n, documented) and n.body and isinstance(n.body[0], ast.Expr)
    }
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words |= set(pattern.findall(node.value))
        elif isinstance(node, ast.Name | ast.FunctionDef | ast.ClassDef):
            words |= set(pattern.findall((node.id if isinstance(node, ast.Name) else node.name).lower()))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            words |= {word for target in targets(node) for word in pattern.findall(target)}
    return ", ".join(sorted(words))


RULES = {
    "upwards": upwards,
    "circle": circle,
    "foreign": foreign,
    "detector": lambda module: named(module, "detector"),
    "family": lambda module: named(module, "family"),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    offences = {module: found for module in sources() if (found := RULES[rule](module))}
    allowed = ALLOWED.get(rule, {})
    new = {module: found for module, found in offences.items() if module not in allowed}
    assert new == {}, f"{rule}: {new}"
    assert sorted(set(allowed) - set(offences)) == [], "these are clean now: take them out of ALLOWED"


def test_every_room_has_its_place() -> None:
    rooms = {room(module) for module in sources()} - {"", "__main__"}
    assert rooms == set(ORDER)
