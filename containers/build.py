"""Build the image: ``python containers/build.py [--variant cpu|cuda]``, without root.

``--base`` takes a local image or a root folder (``debootstrap``) where no image registry can be reached; ``--wheelhouse`` a folder of
wheels where no package index can be reached from inside a build (``--fill-wheelhouse`` fills it on this machine, with this machine's
own pip configuration). ``--print`` shows the commands and builds nothing.
"""

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path

import image

COMPRESSION = {"gzip": "-comp gzip", "zstd": "-comp zstd -Xcompression-level 3"}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=sorted(image.VARIANTS), default="cpu")
    parser.add_argument("--out", type=Path, help="default: containers/tpcfm-<variant>-<version>.sif")
    parser.add_argument("--base", help="Docker name, .sif file or root folder; default: the official Python image")
    parser.add_argument("--wheelhouse", type=Path, help="install from this folder of wheels alone")
    parser.add_argument("--fill-wheelhouse", action="store_true", help="first download the locked wheels into it")
    parser.add_argument("--only-wheels", action="store_true", help="download them, and build nothing")
    parser.add_argument(
        "--as-user", metavar="NAME", help="as root: build as this ordinary user (needs no subuid ranges)"
    )
    parser.add_argument(
        "--compression",
        choices=sorted(COMPRESSION),
        default="gzip",
        help="gzip mounts everywhere; zstd is quicker to write and to read, and needs a kernel or squashfuse that knows it",
    )
    parser.add_argument("--force", action="store_true", help="replace an image of that name")
    parser.add_argument("--print", action="store_true", dest="show", help="show the commands only")
    return parser.parse_args(arguments)


def wheel_command(variant: image.Variant, wheelhouse: Path) -> list[str]:
    """Return the command that fetches the locked wheels (and builds those that exist as source only).

    Raises:
        image.ImageError: this Python is not the one of the image, so its wheels would not fit.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != variant.python:
        raise image.ImageError(
            f"the {variant.name} image has Python {variant.python}: fill its wheelhouse with that, not {here}"
        )
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--wheel-dir",
        str(wheelhouse),
    ]
    for lock in variant.locks:
        command += ["--requirement", str(lock)]
    # As in the Makefile: a CPU build of torch comes from its own index on most machines, and pip takes it before the plain one.
    own = [os.environ["TORCH_INDEX"]] if os.environ.get("TORCH_INDEX") else []
    for index in variant.indexes if variant.name == "cuda" else own:
        command += ["--extra-index-url", index]
    return command


def build_command(
    variant: image.Variant, out: Path, base: str, wheelhouse: Path | None, compression: str = "gzip"
) -> list[str]:
    """Return the command that builds the image."""
    local = Path(base).exists()
    values = {
        "bootstrap": "localimage" if local else "docker",
        "from": str(Path(base).resolve()) if local else base.removeprefix("docker://"),
        "variant": variant.name,
        "version": image.version(),
        "lock": variant.lock_hash(),
        "revision": image.revision(),
    }
    command = [image.apptainer(), "build", "--fakeroot", "--mksquashfs-args", COMPRESSION[compression]]
    for name, value in values.items():
        command += ["--build-arg", f"{name}={value}"]
    if wheelhouse:
        command += ["--bind", f"{wheelhouse.resolve()}:/mnt:ro"]
    return [*command, str(out), "containers/tpcfm.def"]


def base_command(folder: Path, out: Path) -> list[str]:
    """Return the command that turns a root folder into an image; all files become root's, so that any user can unpack it.

    It is unpacked again at once, so it is not compressed.
    """
    options = "-all-root -noI -noD -noF -noX"
    return [image.apptainer(), "build", "--mksquashfs-args", options, str(out), str(folder.resolve())]


def as_user(command: list[str], user: str | None, scratch: Path) -> list[str]:
    """Return the command as an ordinary user runs it, with a home and scratch of its own."""
    if user is None:
        return command
    places = [
        f"HOME={scratch}",
        f"APPTAINER_TMPDIR={scratch}",
        f"APPTAINER_CACHEDIR={scratch}/cache",
        f"TMPDIR={scratch}",
    ]
    return ["runuser", "-u", user, "--", "env", *places, *command]


def build(options: argparse.Namespace) -> Path:
    """Build, and return where the image lies.

    Raises:
        image.ImageError: an image of that name is there, a folder is missing, or a command failed.
    """
    variant = image.VARIANTS[options.variant]
    out = (options.out or variant.file).resolve()
    if out.exists() and not (options.force or options.show):
        raise image.ImageError(
            f"{out} is there already: --force replaces it, --out gives another name (better: results remember names)"
        )
    if options.fill_wheelhouse and not options.wheelhouse:
        raise image.ImageError("--fill-wheelhouse needs --wheelhouse DIR")
    if options.as_user and os.geteuid():
        raise image.ImageError("--as-user is for root alone")
    base = options.base or variant.base
    with tempfile.TemporaryDirectory(prefix="tpcfm-image-") as folder:
        scratch = Path(folder)
        commands = []
        if options.fill_wheelhouse:
            commands.append(wheel_command(variant, options.wheelhouse))
        if Path(base).is_dir():
            # A root folder becomes an image first: Apptainer starts a definition from images only.
            commands.append(base_command(Path(base), scratch / "base.sif"))
            Path(scratch / "base.sif").touch()
            base = str(scratch / "base.sif")
        target = scratch / out.name if options.as_user else out
        recipe = build_command(variant, target, base, options.wheelhouse, options.compression)
        commands.append(as_user(recipe, options.as_user, scratch))
        if options.show:
            print("\n".join(shlex.join(c) for c in commands))
            return out
        if options.wheelhouse and not options.fill_wheelhouse and not any(options.wheelhouse.glob("*.whl")):
            raise image.ImageError(f"{options.wheelhouse}: no wheels there; --fill-wheelhouse downloads them")
        (scratch / "base.sif").unlink(missing_ok=True)
        if options.as_user:
            import shutil

            shutil.chown(scratch, user=options.as_user)
        os.chdir(image.ROOT)
        out.parent.mkdir(parents=True, exist_ok=True)
        for command in commands:
            image.run(command)
        if target != out:
            import shutil

            part = out.with_suffix(".part")
            shutil.copyfile(target, part)
            part.replace(out)
    return out


def main(arguments: list[str]) -> int:
    """Build and print what was built."""
    options = parse(arguments)
    try:
        if options.only_wheels:
            if not options.wheelhouse:
                raise image.ImageError("--only-wheels needs --wheelhouse DIR")
            fill = wheel_command(image.VARIANTS[options.variant], options.wheelhouse)
            print(shlex.join(fill)) if options.show else image.run(fill)
            return 0
        out = build(options)
        if not options.show:
            for name, value in image.describe(out).items():
                print(f"{name:36} {value}")
    except image.ImageError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
