"""Write the locks in envs/ from the environment at hand: for each envs/<name>.in the exact versions of all it needs.

Run inside the environment that was resolved and tested: ``python tools/lock.py`` (``--check`` compares only).
"""

import argparse
import sys
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVS = Path(__file__).resolve().parents[1] / "envs"


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Return name -> version of everything the requirements pull in, as installed here."""
    installed = {canonicalize_name(d.metadata["Name"]): d for d in distributions()}
    found: dict[str, str] = {}
    queue = [(r.name, tuple(sorted(r.extras))) for r in requirements]
    seen = set()
    while queue:
        name, extras = queue.pop()
        key = canonicalize_name(name)
        if (key, extras) in seen or key not in installed:
            continue
        seen.add((key, extras))
        found[key] = installed[key].version.split("+")[0]
        for text in distribution(key).requires or []:
            needed = Requirement(text)
            contexts = [{"extra": e} for e in ("", *extras)]
            if needed.marker is None or any(needed.marker.evaluate(c) for c in contexts):
                queue.append((needed.name, tuple(sorted(needed.extras))))
    return found


def main() -> int:
    """Write or compare every lock; the exit code is 1 if a comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args()
    wrong = []
    for source in sorted(ENVS.glob("*.in")):
        lines = [line.split("#")[0].strip() for line in source.read_text().splitlines()]
        wanted = [Requirement(line) for line in lines if line]
        locked = closure(wanted)
        missing = [r.name for r in wanted if canonicalize_name(r.name) not in locked]
        if missing:
            print(f"{source.name}: not installed here: {', '.join(missing)}", file=sys.stderr)
            return 1
        text = f"# Written by tools/lock.py from {source.name}; do not edit.\n"
        text += "".join(f"{name}=={version}\n" for name, version in sorted(locked.items()))
        target = source.with_suffix(".txt")
        if arguments.check:
            wrong += [target.name] if not target.exists() or target.read_text() != text else []
        else:
            target.write_text(text)
            print(f"{target.name}: {len(locked)} packages")
    if wrong:
        print(f"differ from the environment: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
