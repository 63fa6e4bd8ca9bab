"""tpcfm: foundation models for time projection chambers."""

import hashlib
import os
import shutil
from pathlib import Path

__version__ = "0.1.0"

KEPT_CACHES = 6


def _set_kernel_cache() -> None:
    """Give compiled kernels a cache folder named by the sources that hold kernels.

    Numba notices a change only in the file of the kernel itself, not in kernels that it calls from other files, and would go on
    with the old code. Of the folders of earlier states the newest are kept.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source:
            digest.update(source)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tpcfm" / "numba"
    folder = base / digest.hexdigest()[:12]
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if folder.exists() or not base.exists():
        return
    others = sorted(base.iterdir(), key=lambda other: other.stat().st_mtime)
    for other in others[: -KEPT_CACHES + 1]:
        shutil.rmtree(other, ignore_errors=True)


_set_kernel_cache()
