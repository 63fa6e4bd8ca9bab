"""How the kernels of this package are compiled, and the digest of its sources that keys their cache.

numba keys a cached kernel by the file that holds it and not by the files of the functions it calls, so an edit there would
leave stale machine code in use. Here only the outermost kernels are cached, and each closes over this digest, which numba
makes part of the key.
"""

import hashlib
from pathlib import Path

from numba import njit

from tpcfm.detectors import pilarnet

kernel = njit(nogil=True, error_model="numpy")
# Only called from other kernels: without wrappers for calls from Python it compiles faster.
inner_kernel = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]


def source_digest() -> str:
    """Return a digest of every source file that a kernel of this package is made of."""
    digest = hashlib.sha256()
    for path in [*sorted(Path(__file__).parent.glob("*.py")), Path(pilarnet.__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = source_digest()
