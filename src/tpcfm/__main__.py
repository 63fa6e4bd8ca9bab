"""``python -m tpcfm`` is the command line ``tpcfm``."""

from tpcfm.cli.main import main

main()
