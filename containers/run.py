"""Run a command inside the image, with this checkout bound: ``python containers/run.py [--gpu] [--image FILE] -- tpcfm doctor``."""

import argparse
import subprocess
import sys
from pathlib import Path

import image


def main(arguments: list[str]) -> int:
    """Run the command inside the image and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=image.VARIANTS["cpu"].file)
    parser.add_argument("--gpu", action="store_true", help="pass the NVIDIA driver through (--nv)")
    parser.add_argument("--print", action="store_true", dest="show", help="show the command only")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after `--`; default: tpcfm doctor")
    options = parser.parse_args(arguments)
    inside = options.command[1:] if options.command[:1] == ["--"] else options.command
    try:
        path = options.image if options.show else image.image(options.image)
        command = image.exec_command(path, inside or ["tpcfm", "doctor"], gpu=options.gpu)
    except image.ImageError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    if options.show:
        import shlex

        print(shlex.join(command))
        return 0
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
