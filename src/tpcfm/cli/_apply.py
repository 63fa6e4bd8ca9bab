"""What ``tpcfm predict`` and ``tpcfm embed`` share: a model over files, with what a person sees of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def apply(
    job: str,
    model: str,
    files: Sequence[str],
    out: Path,
    *,
    device: str | None,
    detector: str | None,
    results: Path,
    quiet: bool,
    **options: Any,
) -> None:
    """Open a model and run one of its jobs over files."""
    import logging
    import os
    import signal
    import sys

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    # A job that is asked to end leaves no part files behind; the same command goes on where it stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    from tpcfm.detectors.registry import load_detector
    from tpcfm.inference.model import load

    opened = load(model, device=device, results=results)
    if threads := int(os.environ.get("OMP_NUM_THREADS", 0) or 0):
        import torch

        torch.set_num_threads(threads)
    read_as = load_detector(detector) if detector else None
    made = getattr(opened, job)(files, out, read_as=read_as, progress=not quiet, **options)
    print(f"{len(made)} files in {out}")
