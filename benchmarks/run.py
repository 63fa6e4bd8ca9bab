"""Run every benchmark of this folder and print one table of ratios.

``python benchmarks/run.py [NAME ...]`` takes only the named ones. Each module has ``rows() -> list[dict]`` with ``what``, ``size``,
``against``, ``ratio`` (how many times faster, or as the row says) and ``memory_mib``; both sides of a ratio are timed in one run.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parent


def load(path: Path):
    """Import one benchmark file."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Print the table; exit code 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; default: all")
    arguments = parser.parse_args()
    files = {p.stem: p for p in sorted(FOLDER.glob("*.py")) if p.stem != "run"}
    unknown = [n for n in arguments.names if n not in files]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(files)}", file=sys.stderr)
        return 2
    table = Table("benchmark", "what", "size", "against", "ratio", "memory (MiB)", box=None)
    failed = []
    for name in arguments.names or files:
        print(f"running {name} ...", file=sys.stderr)
        try:
            for row in load(files[name]).rows():
                memory = row.get("memory_mib")
                shown = "" if memory is None or memory != memory else f"{memory:.0f}"
                table.add_row(
                    name, str(row["what"]), str(row["size"]), str(row["against"]), f"{row['ratio']:.2f}", shown
                )
        except Exception as error:  # one broken benchmark must not hide the others
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    Console(width=150).print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
