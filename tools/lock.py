"""Write the locks in envs/ with ``uv pip compile``: for each envs/<name>.in the exact versions of all it needs.

``python tools/lock.py`` keeps the versions that a lock has and adds or drops what its .in file asks for; arguments go to uv:
``--upgrade`` takes the newest of everything, ``--upgrade-package NAME`` of one. Packages that meet in two locks have one version.

A file whose first line reads ``# derived from <base>`` holds exact pins only; its lock is the lock of the base with these pins in
place of its own, or added. So a machine without the wheels (CUDA) still writes that lock, and all else stays identical.

No hashes: torch comes from another index on every kind of machine, as a file with another hash each.
"""

import re
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).resolve().parents[1] / "envs"
COMMAND = "python tools/lock.py"
COMPILED = ("cpu", "workflow", "image", "test")  # each keeps to the versions of those before it


def pins(path: Path) -> dict[str, str]:
    """Return name -> version of a file of exact pins.

    Raises:
        SystemExit: a requirement that is not ``name==version``.
    """
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found = {}
    for line in filter(None, lines):
        if not (pin := re.fullmatch(r"([\w.-]+)==([\w.!]+)", line)):
            raise SystemExit(f"{path.name}: {line}: a lock takes exact pins (name==version) only")
        found[pin[1]] = pin[2]
    return found


def derived(source: Path) -> dict[str, str]:
    """Return name -> version of a lock that is derived from another."""
    base = re.match(r"# derived from (\w+)", source.read_text(encoding="utf-8"))
    assert base is not None, f"{source.name}: the first line names no base"
    return pins(source.with_name(f"{base[1]}.txt")) | pins(source)


def main() -> None:
    """Write every lock."""
    uv = str(Path(sys.executable).with_name("uv"))
    constraints: list[str] = []
    for name in COMPILED:
        files = [f"{name}.in", "--output-file", f"{name}.txt", "--excludes", "excludes.txt", *constraints]
        plain = ["--no-annotate", "--custom-compile-command", COMMAND, "--quiet", "--python", sys.executable]
        subprocess.run([uv, "pip", "compile", *files, *plain, *sys.argv[1:]], cwd=ENVS, check=True)
        constraints += ["--constraint", f"{name}.txt"]
    locked = sorted(derived(ENVS / "cuda.in").items())
    text = f"# {COMMAND}\n" + "".join(f"{name}=={version}\n" for name, version in locked)
    (ENVS / "cuda.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
