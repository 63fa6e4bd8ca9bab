"""``tpcfm`` and ``python -m tpcfm``: the command line, in this process or in a fork of one that is warm."""

import os
import sys


def main() -> None:
    """Run the command line."""
    if path := os.environ.get("TPCFM_WARM"):
        from tpcfm.cli._warm import ask

        code = ask(path)
        if code is not None:
            sys.exit(code)
    from tpcfm.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
