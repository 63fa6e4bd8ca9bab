"""The stack of particles still to be transported: rows (species, x, y, z, t, px, py, pz) in cm, ns, GeV/c."""

from tpcfm.kernels import njit


@njit(cache=True)
def push(stack, n, code, x, y, z, t, px, py, pz):  # type: ignore[no-untyped-def]
    """Append a particle to the first ``n`` rows if there is room; return the length that the stack needs."""
    if n < stack.shape[0]:
        stack[n, 0], stack[n, 1], stack[n, 2], stack[n, 3], stack[n, 4] = code, x, y, z, t
        stack[n, 5], stack[n, 6], stack[n, 7] = px, py, pz
    return n + 1
