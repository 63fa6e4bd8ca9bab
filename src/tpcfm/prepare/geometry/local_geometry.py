"""Local geometry of points: shape, density and signal of nested neighbourhoods, on any detector.

What a physicist's eye sees around a point (is it a line, a sheet, a cloud; does it end here; how bright is it), as numbers
that rotations of a box, or rotations of a cylinder about its axis, do not change. Eigenvalue features as in Weinmann et al.,
ISPRS J. Photogramm. 105, 286 (2015).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.kernels import njit
from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph

SIZES = (8, 24, 64, 160)
"""Neighbours of the nested neighbourhoods."""
NEAR = 32
"""Neighbours that `LocalGeometry.near` holds."""
LINK = 2.0
"""Points closer than this many pitches belong to one component."""
SLACK = 32
"""More neighbours than the largest size: room for those at the same distance as the last."""
OF_SHAPE = ("linearity", "planarity", "scattering", "radius", "offset", "curvature")
OF_SIGNAL = ("signal_mean", "signal_deviation")
OF_AXIS = ("along_r", "along_z", "pointing")
_DEGENERATE = 1e-6  # of the largest eigenvalue: closer to the next one, there is no principal direction


class LocalGeometry(NamedTuple):
    """Of the points of one event."""

    features: npt.NDArray[np.float32]
    """(N, F), see `geometry_names`."""
    direction: npt.NDArray[np.float32]
    """(N, len(SIZES), 3) unit principal direction of each neighbourhood, of either sign; zeros where there is none."""
    near: npt.NDArray[np.int32]
    """(N, NEAR) nearest points by distance, -1 for an empty slot."""


def geometry_names(detector: Detector) -> list[str]:
    """Return the names of the features in order: for each size those of shape, signal and axis, then those of the point."""
    signal, axis = detector.main_signal is not None, detector.cylindrical
    parts = OF_SHAPE + OF_SIGNAL * signal + OF_AXIS * axis
    own = ["component"] + ["signal"] * signal + ["r", "abs_z"] * axis
    return [f"{part}_{size}" for size in SIZES for part in parts] + own


def local_geometry(
    detector: Detector, xyz: npt.NDArray[np.number], scaled_signal: npt.NDArray[np.floating] | None
) -> LocalGeometry:
    """Return the local geometry of the points of one event.

    A neighbourhood of k holds the point, its k nearest others, and all at the same distance as the k-th, so that neither the order of
    the points nor a turned lattice changes it (if that shell does not fit, it is left out whole). With the eigenvalues a >= b >= c of its covariance:

    - linearity (a - b) / a, planarity (b - c) / a, scattering c / a; radius: log2 of the distance of the k-th neighbour in pitches;
    - offset: distance of its mean from the point over its root-mean-square radius (large at the end of a track);
    - curvature, per pitch: bend of a parabola along the principal direction;
    - mean and standard deviation of the scaled signal, where there is one;
    - in a cylinder the cosines, without sign, of the principal direction with the radial direction, the axis and the line from the origin.

    Of the point: log2 of the number of points in its component (links shorter than two pitches), its scaled signal, in a cylinder r and
    abs(z) in pitches.

    Args:
        detector: gives pitch and frame.
        xyz: (N, 3) in its unit.
        scaled_signal: (N,); None for a detector without signal.
    """
    points = np.ascontiguousarray(xyz, np.float64) / detector.pitch
    graph = neighbour_graph(points, max(SIZES) + SLACK)
    signal = np.zeros(0) if scaled_signal is None else np.ascontiguousarray(scaled_signal, np.float64)
    parts = (
        len(OF_SHAPE) + (0 if scaled_signal is None else len(OF_SIGNAL)) + (len(OF_AXIS) if detector.cylindrical else 0)
    )
    shape = np.zeros((len(points), len(SIZES), parts))
    direction = np.zeros((len(points), len(SIZES), 3))
    if len(points):
        _shapes(points, signal, graph.index, graph.distance, np.array(SIZES), detector.cylindrical, shape, direction)
    columns = [
        shape.reshape(len(points), len(SIZES) * parts),
        np.log2(_component_sizes(graph.index, graph.distance))[:, None],
    ]
    if scaled_signal is not None:
        columns.append(signal[:, None])
    if detector.cylindrical:
        columns.append(np.column_stack([np.hypot(points[:, 0], points[:, 1]), np.abs(points[:, 2])]))
    features = np.concatenate(columns, axis=1).astype(np.float32)
    return LocalGeometry(features, direction.astype(np.float32), np.ascontiguousarray(graph.index[:, :NEAR]))


def _component_sizes(index: npt.NDArray[np.int32], distance: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the number of points (N,) in the component of each point."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(index)
    point, slot = np.nonzero((distance < LINK) & (index >= 0))
    table = coo_array((np.ones(len(point), np.int8), (point, index[point, slot])), shape=(n, n))
    label = connected_components(table, directed=False)[1]
    return np.asarray(np.bincount(label)[label] if n else np.zeros(0, np.int64))


@njit(cache=True, nogil=True)
def _eigen(matrix, vectors):  # type: ignore[no-untyped-def]
    """Diagonalise a symmetric 3 x 3 matrix in place by Jacobi rotations; ``vectors`` holds the eigenvectors as columns."""
    vectors[:] = 0.0
    for i in range(3):
        vectors[i, i] = 1.0
    scale = abs(matrix[0, 0]) + abs(matrix[1, 1]) + abs(matrix[2, 2])
    for _ in range(20):
        if abs(matrix[0, 1]) + abs(matrix[0, 2]) + abs(matrix[1, 2]) <= 1e-15 * scale:
            return
        for p, q in ((0, 1), (0, 2), (1, 2)):
            if matrix[p, q] == 0.0:
                continue
            theta = (matrix[q, q] - matrix[p, p]) / (2.0 * matrix[p, q])
            t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
            t = -t if theta < 0 else t
            c = 1.0 / np.sqrt(t * t + 1.0)
            s = t * c
            for i in range(3):
                a, b = matrix[i, p], matrix[i, q]
                matrix[i, p], matrix[i, q] = c * a - s * b, s * a + c * b
            for i in range(3):
                a, b = matrix[p, i], matrix[q, i]
                matrix[p, i], matrix[q, i] = c * a - s * b, s * a + c * b
            for i in range(3):
                a, b = vectors[i, p], vectors[i, q]
                vectors[i, p], vectors[i, q] = c * a - s * b, s * a + c * b


@njit(cache=True, nogil=True)
def _extent(distance, size):  # type: ignore[no-untyped-def]
    """Return how many of the sorted distances of a point belong to its neighbourhood of a size, and the distance of the last asked for."""
    slots = distance.size
    held = slots
    while held > 0 and distance[held - 1] == np.inf:
        held -= 1
    if held <= size:
        return held, distance[held - 1] if held else np.float32(0.0)
    stop = size
    while stop < held and distance[stop] == distance[size - 1]:
        stop += 1
    if stop == slots:  # perhaps more at this distance than the list holds
        stop = size
        while stop > 0 and distance[stop - 1] == distance[size - 1]:
            stop -= 1
    return stop, distance[size - 1]


@njit(cache=True, nogil=True)
def _shapes(points, signal, index, distance, sizes, cylindrical, shape, direction):  # type: ignore[no-untyped-def]
    """Fill ``shape`` (N, S, P) and ``direction`` (N, S, 3)."""
    matrix, vectors = np.empty((3, 3)), np.empty((3, 3))
    mean, bend = np.empty(3), np.empty(3)
    first, second = np.empty(3), np.empty((3, 3))
    for i in range(points.shape[0]):
        first[:], second[:] = 0.0, 0.0
        bright = signal[i] if signal.size else 0.0
        squares = bright * bright
        done = 0
        for s in range(sizes.size):
            stop, radius = _extent(distance[i], sizes[s])
            for slot in range(done, stop):
                j = index[i, slot]
                for a in range(3):
                    d = points[j, a] - points[i, a]
                    first[a] += d
                    for b in range(a + 1):
                        second[a, b] += d * (points[j, b] - points[i, b])
                if signal.size:
                    bright += signal[j]
                    squares += signal[j] * signal[j]
            done = stop
            n = stop + 1.0
            spread = 0.0
            length = 0.0
            for a in range(3):
                mean[a] = first[a] / n
                length += mean[a] * mean[a]
                spread += second[a, a] / n
            for a in range(3):
                for b in range(a + 1):
                    matrix[a, b] = second[a, b] / n - mean[a] * mean[b]
                    matrix[b, a] = matrix[a, b]
            _eigen(matrix, vectors)
            top = 0
            low = 0
            for a in range(1, 3):
                if matrix[a, a] > matrix[top, top]:
                    top = a
                if matrix[a, a] <= matrix[low, low]:
                    low = a
            out = shape[i, s]
            out[3] = np.log2(radius) if radius > 0 else 0.0
            large = matrix[top, top]
            at = 6
            if signal.size:
                out[at] = bright / n
                out[at + 1] = np.sqrt(max(squares / n - out[at] * out[at], 0.0))
                at += 2
            if large <= 0.0 or top == low:
                continue
            small = max(matrix[low, low], 0.0)
            middle = max(matrix[3 - top - low, 3 - top - low], 0.0)
            out[0] = (large - middle) / large
            out[1] = (middle - small) / large
            out[2] = small / large
            out[4] = np.sqrt(length / spread)
            if out[0] < _DEGENERATE:
                continue
            # A parabola along the principal direction: perpendicular displacement against the squared way along it.
            quadratic, fourth = 0.0, 0.0
            bend[:] = 0.0
            for turn in range(2):
                for slot in range(-1, stop):
                    j = index[i, slot] if slot >= 0 else i
                    t = 0.0
                    for a in range(3):
                        t += (points[j, a] - points[i, a] - mean[a]) * vectors[a, top]
                    if turn == 0:
                        quadratic += t * t / n
                    else:
                        lever = t * t - quadratic
                        fourth += lever * lever
                        for a in range(3):
                            bend[a] += lever * (points[j, a] - points[i, a] - mean[a])
            along = bend[0] * vectors[0, top] + bend[1] * vectors[1, top] + bend[2] * vectors[2, top]
            across = 0.0
            for a in range(3):
                direction[i, s, a] = vectors[a, top]
                across += (bend[a] - along * vectors[a, top]) ** 2
            if fourth > 1e-12 * quadratic * quadratic:
                out[5] = np.sqrt(across) / fourth
            if cylindrical:
                x, y, z = points[i]
                r = np.hypot(x, y)
                full = np.sqrt(r * r + z * z)
                outwards = x * vectors[0, top] + y * vectors[1, top]
                out[at] = abs(outwards) / r if r > 0 else 0.0
                out[at + 1] = abs(vectors[2, top])
                out[at + 2] = abs(outwards + z * vectors[2, top]) / full if full > 0 else 0.0
