"""Write the locks in envs/ from the environment at hand: for each envs/<name>.in the exact versions of all it needs.

Run inside the environment that was resolved and tested: ``python tools/lock.py`` (``--check`` compares only).

A file whose first line reads ``# derived from <base>`` holds exact pins only; its lock is the lock of the base with these pins in
place of its own, or added. So a machine without the wheels (CUDA) still writes that lock, and all else stays identical.
"""

import argparse
import re
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


def requirements(source: Path) -> list[Requirement]:
    """Return what a file asks for, without comments."""
    lines = [line.split("#")[0].strip() for line in source.read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def exact(wanted: list[Requirement]) -> dict[str, str]:
    """Return name -> version of exact pins.

    Raises:
        SystemExit: a requirement that is not ``name==version``.
    """
    pins = {}
    for requirement in wanted:
        specifiers = list(requirement.specifier)
        if len(specifiers) != 1 or specifiers[0].operator != "==":
            raise SystemExit(f"{requirement}: a derived lock takes exact pins (name==version) only")
        pins[canonicalize_name(requirement.name)] = specifiers[0].version
    return pins


def lock(source: Path) -> dict[str, str]:
    """Return name -> version for one envs/<name>.in.

    Raises:
        SystemExit: something it asks for is not installed here.
    """
    wanted = requirements(source)
    if base := re.match(r"# derived from (\w+)", source.read_text()):
        return lock(ENVS / f"{base[1]}.in") | exact(wanted)
    locked = closure(wanted)
    if missing := [r.name for r in wanted if canonicalize_name(r.name) not in locked]:
        raise SystemExit(f"{source.name}: not installed here: {', '.join(missing)}")
    return locked


def main() -> int:
    """Write or compare every lock; the exit code is 1 if a comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args()
    wrong = []
    for source in sorted(ENVS.glob("*.in")):
        locked = lock(source)
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
