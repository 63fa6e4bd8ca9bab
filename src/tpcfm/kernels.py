"""numba's compiler with a cache of machine code that is never stale and that works on every machine.

Numba notices a change only in the file of the kernel itself, not in kernels that it calls from other files, and would go on
with the old code. So the cache is a folder named by all sources that hold kernels, below ``NUMBA_CACHE_DIR`` or the user's
cache. Where neither can be written, a temporary folder takes its place for as long as the process lives.

Every module with kernels takes ``njit`` from here.
"""

import atexit
import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

import numba
from numba import njit

__all__ = ["njit"]


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        source = path.read_bytes()
        if b"njit" in source:
            digest.update(source)
    return digest.hexdigest()[:12]


def _cache_folder() -> str:
    name = _digest()
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given and Path(given).name == name:
        return given  # of the process that started this one
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = Path(given or home / "tpcfm" / "numba") / name
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as error:  # no such user: RuntimeError
        folder = Path(tempfile.mkdtemp(prefix="tpcfm-")) / name
        atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
        logging.getLogger("tpcfm").warning(
            "no cache for compiled kernels (%s): compiled anew in each run; set NUMBA_CACHE_DIR to a writable folder",
            error,
        )
    return str(folder)


os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = _cache_folder()  # type: ignore[attr-defined]
