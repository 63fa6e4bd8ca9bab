"""tpcfm: foundation models for time projection chambers."""

import hashlib
import os
from pathlib import Path

__version__ = "0.1.0"


def _set_kernel_cache() -> None:
    """Give compiled kernels a cache folder named by the state of the sources.

    Numba notices a change only in the file of the kernel itself, not in kernels that it calls from other files, and would go on
    with the old code.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    root = Path(__file__).parent
    state = [
        (str(p.relative_to(root)), s.st_size, s.st_mtime_ns) for p in sorted(root.rglob("*.py")) for s in [p.stat()]
    ]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ["NUMBA_CACHE_DIR"] = str(
        base / "tpcfm" / "numba" / hashlib.sha256(repr(state).encode()).hexdigest()[:12]
    )


_set_kernel_cache()
