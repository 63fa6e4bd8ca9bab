"""How the kernels of this simulation are compiled: only the outermost are cached, those inside are part of them."""

from tpcfm.kernels import njit

outer_kernel = njit(cache=True, nogil=True, error_model="numpy")
kernel = njit(nogil=True, error_model="numpy")
# Only called from other kernels: without wrappers for calls from Python it compiles faster.
inner_kernel = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]
