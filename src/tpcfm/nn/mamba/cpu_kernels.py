"""Compiled loops of the Mamba-2 mixer for the CPU: row by row, one event and one head at a time, state in the cache.

All arrays are C-contiguous and of one floating type. ``bounds`` (E+1,) are first rows of events; every kernel works on the events
[first, last), so that several threads can share a stream.
"""

import numpy as np

from tpcfm.kernels import njit

FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (vectors); infinities and NaN keep their meaning


@njit(cache=True, nogil=True, fastmath=FAST)
def convolve(mixed, column, weight, bias, bounds, first, last, out):
    """Causal depthwise convolution of columns of ``mixed``; weight (4, C), its last row acts on the row itself."""
    channels = weight.shape[1]
    w0, w1, w2, w3 = weight[3], weight[2], weight[1], weight[0]
    for e in range(first, last):
        start, stop = bounds[e], bounds[e + 1]
        for t in range(start, stop):
            row = out[t]
            m0 = mixed[t, column : column + channels]
            if t - start >= 3:
                m1 = mixed[t - 1, column : column + channels]
                m2 = mixed[t - 2, column : column + channels]
                m3 = mixed[t - 3, column : column + channels]
                for i in range(channels):
                    row[i] = bias[i] + w0[i] * m0[i] + w1[i] * m1[i] + w2[i] * m2[i] + w3[i] * m3[i]
            else:
                for i in range(channels):
                    row[i] = bias[i] + w0[i] * m0[i]
                for lag in range(1, t - start + 1):
                    for i in range(channels):
                        row[i] += weight[3 - lag, i] * mixed[t - lag, column + i]


@njit(cache=True, nogil=True, fastmath=FAST)
def convolve_backward(mixed, column, weight, bounds, first, last, grad, grad_mixed, grad_weight):
    """Gradients of :func:`convolve`; ``grad_weight`` (E, 4, C) holds one sum per event."""
    channels = weight.shape[1]
    w0, w1, w2, w3 = weight[3], weight[2], weight[1], weight[0]
    for e in range(first, last):
        start, stop = bounds[e], bounds[e + 1]
        d0, d1, d2, d3 = grad_weight[e, 3], grad_weight[e, 2], grad_weight[e, 1], grad_weight[e, 0]
        for t in range(start, stop):
            m = mixed[t, column : column + channels]
            to = grad_mixed[t, column : column + channels]
            g0 = grad[t]
            if stop - t > 3:
                g1, g2, g3 = grad[t + 1], grad[t + 2], grad[t + 3]
                for i in range(channels):
                    to[i] = w0[i] * g0[i] + w1[i] * g1[i] + w2[i] * g2[i] + w3[i] * g3[i]
                for i in range(channels):
                    d0[i] += g0[i] * m[i]
                    d1[i] += g1[i] * m[i]
                    d2[i] += g2[i] * m[i]
                    d3[i] += g3[i] * m[i]
            else:
                for i in range(channels):
                    to[i] = w0[i] * g0[i]
                    d0[i] += g0[i] * m[i]
                for lag in range(1, stop - t):
                    for i in range(channels):
                        to[i] += weight[3 - lag, i] * grad[t + lag, i]
                        grad_weight[e, 3 - lag, i] += grad[t + lag, i] * m[i]


@njit(cache=True, nogil=True, fastmath=FAST)
def scan(xbc, dt, decay, d, size, state, bounds, slots, chunk, first, last, y, states):
    """Recurrence over (x, B, C) rows; keeps the state before every ``chunk``-th row in ``states`` unless that is empty."""
    heads = dt.shape[1]
    inner = heads * size
    keep = len(states) > 0
    s = np.empty((state, size), xbc.dtype)
    u = np.empty(size, xbc.dtype)
    sums = np.empty(size, xbc.dtype)
    for e in range(first, last):
        start, stop = bounds[e], bounds[e + 1]
        for h in range(heads):
            at = h * size
            s[:] = 0
            for t in range(start, stop):
                if keep and (t - start) % chunk == 0:
                    states[slots[e] + (t - start) // chunk, h] = s
                for p in range(size):
                    u[p] = dt[t, h] * xbc[t, at + p]
                    sums[p] = d[h] * xbc[t, at + p]
                for n in range(state):
                    bn = xbc[t, inner + n]
                    cn = xbc[t, inner + state + n]
                    g = decay[t, h]
                    for p in range(size):
                        s[n, p] = g * s[n, p] + bn * u[p]
                        sums[p] += cn * s[n, p]
                for p in range(size):
                    y[t, at + p] = sums[p]


@njit(cache=True, nogil=True, fastmath=FAST)
def scan_backward(
    xbc,
    dt,
    decay,
    a,
    d,
    size,
    state,
    bounds,
    slots,
    chunk,
    first,
    last,
    states,
    grad,
    grad_xbc,
    grad_dt,
    grad_a,
    grad_d,
):
    """Gradients of :func:`scan`; states inside a chunk are computed again. ``grad_a``, ``grad_d`` (E, H): one sum per event."""
    heads = dt.shape[1]
    inner = heads * size
    s = np.empty((chunk + 1, state, size), xbc.dtype)
    g = np.empty((state, size), xbc.dtype)
    u = np.empty(size, xbc.dtype)
    grad_u = np.empty(size, xbc.dtype)
    for e in range(first, last):
        start, stop = bounds[e], bounds[e + 1]
        n_chunks = (stop - start + chunk - 1) // chunk
        for h in range(heads):
            at = h * size
            g[:] = 0
            for k in range(n_chunks - 1, -1, -1):
                begin = start + k * chunk
                end = min(begin + chunk, stop)
                s[0] = states[slots[e] + k, h]
                for t in range(begin, end):
                    j = t - begin
                    for n in range(state):
                        f = decay[t, h]
                        v = dt[t, h] * xbc[t, inner + n]
                        for p in range(size):
                            s[j + 1, n, p] = f * s[j, n, p] + v * xbc[t, at + p]
                for t in range(end - 1, begin - 1, -1):
                    j = t - begin
                    for p in range(size):
                        u[p] = dt[t, h] * xbc[t, at + p]
                        grad_u[p] = 0
                    f = decay[t, h]
                    grad_f = xbc.dtype.type(0)
                    for n in range(state):
                        bn = xbc[t, inner + n]
                        cn = xbc[t, inner + state + n]
                        to_b = xbc.dtype.type(0)
                        to_c = xbc.dtype.type(0)
                        for p in range(size):
                            w = g[n, p] + cn * grad[t, at + p]
                            to_b += w * u[p]
                            to_c += s[j + 1, n, p] * grad[t, at + p]
                            grad_f += w * s[j, n, p]
                            grad_u[p] += bn * w
                            g[n, p] = f * w
                        grad_xbc[t, inner + n] += to_b
                        grad_xbc[t, inner + state + n] += to_c
                    to_dt = xbc.dtype.type(0)
                    to_d = xbc.dtype.type(0)
                    for p in range(size):
                        grad_xbc[t, at + p] = dt[t, h] * grad_u[p] + d[h] * grad[t, at + p]
                        to_dt += xbc[t, at + p] * grad_u[p]
                        to_d += xbc[t, at + p] * grad[t, at + p]
                    to_log = grad_f * f
                    grad_dt[t, h] = to_dt + to_log * a[h]
                    grad_a[e, h] += to_log * dt[t, h]
                    grad_d[e, h] += to_d


@njit(cache=True, nogil=True, fastmath=FAST)
def gated_norm(y, gate, weight, eps, first, last, out, scale):
    """Root-mean-square norm of ``y * gate`` times ``weight`` for rows [first, last); keeps 1/rms in ``scale``."""
    width = y.shape[1]
    for t in range(first, last):
        total = y.dtype.type(0)
        for i in range(width):
            v = y[t, i] * gate[t, i]
            out[t, i] = v
            total += v * v
        r = y.dtype.type(1) / np.sqrt(total / y.dtype.type(width) + eps)
        scale[t] = r
        for i in range(width):
            out[t, i] *= r * weight[i]


@njit(cache=True, nogil=True, fastmath=FAST)
def gated_norm_backward(y, gate, weight, scale, grad, first, last, grad_y, grad_gate, grad_weight):
    """Gradients of :func:`gated_norm`; ``grad_weight`` (C,) is added to."""
    width = y.shape[1]
    for t in range(first, last):
        r = scale[t]
        dot = y.dtype.type(0)
        for i in range(width):
            v = y[t, i] * gate[t, i] * r
            dot += grad[t, i] * weight[i] * v
            grad_weight[i] += grad[t, i] * v
        dot /= y.dtype.type(width)
        for i in range(width):
            v = r * (grad[t, i] * weight[i] - dot * y[t, i] * gate[t, i] * r)
            grad_y[t, i] = v * gate[t, i]
            grad_gate[t, i] = v * y[t, i]
