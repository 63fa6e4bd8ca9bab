"""A copy of the package in which every configuration block has one more field with a default."""

import ast
from pathlib import Path


def add_a_field(package: Path) -> list[str]:
    """Change the sources below a folder; return the names of the blocks that have the field now."""
    trees = {p: ast.parse(p.read_text()) for p in package.rglob("*.py") if "tpcfm.config" in p.read_text()}
    classes = [(p, node) for p, tree in trees.items() for node in tree.body if isinstance(node, ast.ClassDef)]
    blocks, ends = {"Block"}, dict[Path, list[int]]()
    while more := {c.name for _, c in classes if {getattr(b, "id", "") for b in c.bases} & blocks} - blocks:
        blocks |= more
    for path, node in classes:
        if node.name in blocks - {"Block"}:
            ends.setdefault(path, []).append(int(node.end_lineno or 0))
    for path, lines in ends.items():
        text = path.read_text().splitlines()
        for end in sorted(lines, reverse=True):
            text.insert(end, "\n    added_by_a_test: int = 7\n")
        path.write_text("\n".join(text) + "\n")
    return sorted(blocks - {"Block"})
