"""Check an image: its lock is that of the checkout, every locked version is inside, nothing of the host leaks in, ``tpcfm doctor`` runs.

``python containers/check.py [--image FILE] [--gpu] [--tests [ARGUMENTS]]``; ``--tests`` also runs the test suite inside.
"""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

import image


def canonical(name: str) -> str:
    """Return a package name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Return name -> version of ``name==version`` lines, without local labels."""
    pairs = [line.split("==") for line in text.splitlines() if "==" in line and not line.startswith("#")]
    return {canonical(name): version.split("+")[0] for name, version in pairs}


def differences(locked: dict[str, str], installed: dict[str, str]) -> list[str]:
    """Return what an image lacks or holds in another version."""
    return [
        f"{name}: locked {version}, in the image {installed.get(name, 'missing')}"
        for name, version in sorted(locked.items())
        if installed.get(name) != version
    ]


def check(path: Path, *, gpu: bool, tests: str | None) -> dict[str, str]:
    """Run every check and return the description of the image.

    Raises:
        image.ImageError: a check failed.
    """
    found = image.describe(image.image(path))
    variant = image.VARIANTS[found.get("tpcfm.variant", "cpu")]
    if found.get("tpcfm.lock") != variant.lock_hash():
        raise image.ImageError(
            f"{path} was built from the locks {found.get('tpcfm.lock')}, the checkout has {variant.lock_hash()}: build it anew"
        )

    def inside(*command: str) -> str:
        return image.run(image.exec_command(path, list(command), gpu=gpu), capture=True)

    locked = {name: v for lock in variant.locks for name, v in pins(lock.read_text()).items()}
    if wrong := differences(locked, pins(inside("python", "-m", "pip", "list", "--format=freeze"))):
        raise image.ImageError("the image differs from the locks:\n  " + "\n  ".join(wrong))
    os.environ["PYTHONPATH"] = "/leaked"
    places = inside("python", "-c", "import sys, site; print(sys.prefix, site.ENABLE_USER_SITE, *sys.path)")
    if "/leaked" in places or not places.startswith("/opt/tpcfm/venv False"):
        raise image.ImageError(f"Python of the image looks outside of it: {places.strip()}")
    del os.environ["PYTHONPATH"]
    caches = inside("sh", "-c", "echo $TRITON_CACHE_DIR $NUMBA_CACHE_DIR $MPLCONFIGDIR $XDG_CACHE_HOME").split()
    if len(caches) != 4 or any(c.startswith(str(image.ROOT)) for c in caches):
        raise image.ImageError(f"caches would land in the checkout: {caches}")
    print(inside("tpcfm", "doctor"))
    if tests is not None:
        # The wrapper `tpcfm` finds the code by itself; pytest is told.
        code = f"PYTHONPATH={image.ROOT / 'src'}"
        image.run(image.exec_command(path, ["env", code, "python", "-m", "pytest", *shlex.split(tests)], gpu=gpu))
    return found


def main(arguments: list[str]) -> int:
    """Check and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, default=image.VARIANTS["cpu"].file)
    parser.add_argument("--gpu", action="store_true", help="with --nv; the checks then also see the GPUs")
    parser.add_argument("--tests", nargs="?", const="-q tests", metavar="ARGUMENTS", help="run pytest inside")
    options = parser.parse_args(arguments)
    try:
        found = check(options.image, gpu=options.gpu, tests=options.tests)
    except image.ImageError as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    for name, value in found.items():
        print(f"{name:36} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
