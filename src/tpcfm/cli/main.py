"""The command line ``tpcfm``: one file per verb in this folder; heavy imports happen inside the verbs."""

import importlib
import io
import os
import pkgutil
import sys

import typer

import tpcfm.cli
from tpcfm import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Foundation models for time projection chambers: from raw files to a report.",
)


def _version(value: bool) -> None:
    if value:
        print(f"tpcfm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    backend: str = typer.Option(
        "",
        help="Accelerators, before the verb: auto, torch (none of them), or +NAME must, -NAME must not be used; several joined "
        "by commas (tpcfm --backend=-spconv ...). The variable TPCFM_BACKEND does the same, and reaches the workflow's jobs. "
        "Names: tpcfm doctor.",
    ),
) -> None:
    if backend:
        from tpcfm.backends import configure

        configure(backend)
        os.environ["TPCFM_BACKEND"] = backend  # for the processes that a training starts


def _register() -> None:
    """Add each module of this folder: ``app`` (a group of commands) or ``command`` (one command)."""
    for module in sorted(pkgutil.iter_modules(tpcfm.cli.__path__), key=lambda m: m.name):
        if module.name == "main" or module.name.startswith("_"):
            continue
        verb = importlib.import_module(f"tpcfm.cli.{module.name}")
        name = module.name.replace("_", "-")
        if hasattr(verb, "app"):
            app.add_typer(verb.app, name=name)
        else:
            app.command(name)(verb.command)


def main() -> None:
    """Run the command line; errors a user can mend are printed without a traceback."""
    from tpcfm.errors import TpcfmError

    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no é prints \xe9, and nothing fails
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _register()
    try:
        app()
    except TpcfmError as error:
        print(f"tpcfm: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
