"""Two-sample comparison of muon tracks: real PILArNet-M events against muons shot along the same lines."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import ks_2samp

from tpcfm.errors import DataError
from tpcfm.simulate.lartpc import Simulator
from tpcfm.simulate.lartpc.apparatus import EDGE, ENERGY_THRESHOLD_MEV, PITCH_CM
from tpcfm.simulate.lartpc.work import MUON

_TRACK = 1
_MIN_VOXELS = 200  # a track long enough for a straight-line direction
_SEGMENT = 10.0  # voxels along the track per dE/dx sample
_REPEATS = 40
_HIDDEN = 1.15  # deposited energy over that of the track's visible voxels: delta rays and the threshold
_LEFT = (0.0, 50.0, 100.0, 200.0, 400.0, 1000.0, 3000.0)  # MeV; candidates for what a muon had left at its far end


@dataclass(frozen=True)
class TrackSample:
    """Muon tracks above the energy threshold, pooled: what is compared."""

    energy: np.ndarray  # MeV per voxel
    neighbours: np.ndarray  # voxels of the same track within 5 voxels, per voxel
    loss: np.ndarray  # MeV/cm per segment of ten voxels
    density: np.ndarray  # voxels per voxel of length, per track


@dataclass(frozen=True)
class TrackComparison:
    """The real and the simulated sample and the table of their differences."""

    real: TrackSample
    simulated: TrackSample
    entry_energy: list[float]  # MeV, fitted, one per real track
    table: pd.DataFrame


def _sample(tracks: list[tuple[np.ndarray, np.ndarray]]) -> TrackSample:
    energy, neighbours, loss, density = [], [], [], []
    for xyz, e in tracks:
        _, along = _axis(xyz)
        tree = cKDTree(xyz)
        neighbours.append(tree.query_ball_point(xyz, 5.0, return_length=True))
        energy.append(e)
        bins = np.floor((along - along.min()) / _SEGMENT).astype(int)
        per_bin = np.bincount(bins, weights=e)
        loss.append(per_bin[:-1] / (_SEGMENT * PITCH_CM))  # the last segment is not full
        density.append(xyz.shape[0] / np.ptp(along))
    return TrackSample(np.concatenate(energy), np.concatenate(neighbours), np.concatenate(loss), np.array(density))


def _axis(xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal direction and each point's coordinate along it."""
    centred = xyz - xyz.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return direction, centred @ direction


def real_muons(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (voxels, energies) of every muon track of at least 200 voxels above the threshold in a v2 or v3 file.

    Raises:
        DataError: not such a file, or no such track.
    """
    tracks = []
    try:
        with h5py.File(path, "r") as file:
            for row in range(file["point"].shape[0]):
                point = file["point"][row].reshape(-1, 8)
                cluster = file["cluster"][row].reshape(-1, 6)
                end = np.cumsum(cluster[:, 0])
                for k in np.flatnonzero((cluster[:, 4] == _TRACK) & (cluster[:, 5] == MUON)):
                    rows = point[end[k] - cluster[k, 0] : end[k]]
                    rows = rows[rows[:, 3] > ENERGY_THRESHOLD_MEV]
                    if rows.shape[0] >= _MIN_VOXELS:
                        tracks.append((rows[:, :3].astype(float), rows[:, 3]))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a PILArNet-M file of revision v2 or v3: {error}") from error
    if not tracks:
        raise DataError(f"{path}: no muon track of at least {_MIN_VOXELS} voxels above {ENERGY_THRESHOLD_MEV} MeV")
    return tracks


def _like(
    xyz: np.ndarray, energy: np.ndarray, simulator: Simulator, seed: int, first: int
) -> tuple[float, list[tuple[np.ndarray, np.ndarray]]]:
    """Shoot muons along a real track and keep what lies between its ends; also returns the energy they were shot with.

    The energy a real muon had left at its far end is not in the file. It is the one unknown of the comparison and is
    chosen from a grid, such that the mean loss along the track fits; 0 is a muon that stopped there.
    """
    direction, along = _axis(xyz)
    order = np.argsort(along)
    ends = xyz[order[[0, -1]]]
    start = int(np.argmin(np.minimum(ends, EDGE - 1 - ends).min(axis=1)))
    forward = direction if start == 0 else -direction
    length = float(np.ptp(along))
    at = np.clip(ends[start] + 0.5, 0.01, EDGE - 0.01)
    whole = float(energy.sum())

    def shoot(kinetic: float, repeats: int) -> list[tuple[np.ndarray, np.ndarray]]:
        kept = []
        for k in range(repeats):
            event = simulator.shoot(MUON, 0, kinetic, tuple(at), tuple(forward), seed=seed, event=first + k)
            keep = (event.point_semantic == _TRACK) & (event.energy > ENERGY_THRESHOLD_MEV)
            keep &= (event.voxel - ends[start]) @ forward <= length
            if keep.sum() >= _MIN_VOXELS // 2:
                kept.append((event.voxel[keep].astype(float), event.energy[keep]))
        return kept

    def misfit(left: float) -> float:
        tracks = shoot(whole * _HIDDEN + left, _REPEATS // 4)
        losses = [e.sum() / np.ptp(xyz @ forward) for xyz, e in tracks]
        return abs(float(np.mean(losses)) - whole / length) if losses else np.inf

    kinetic = whole * _HIDDEN + min(_LEFT, key=misfit)
    return kinetic, shoot(kinetic, _REPEATS)


def compare_tracks(path: Path, seed: int) -> TrackComparison:
    """Compare the muon tracks of a real file with simulated ones along the same lines.

    Raises:
        DataError: see :func:`real_muons`.
    """
    muons = real_muons(path)
    simulator = Simulator()
    entries: list[float] = []
    made: list[tuple[np.ndarray, np.ndarray]] = []
    for k, (xyz, energy) in enumerate(muons):
        entry, tracks = _like(xyz, energy, simulator, seed, k * _REPEATS)
        entries.append(entry)
        made += tracks
    real, simulated = _sample(muons), _sample(made)
    rows = []
    for name, label in (
        ("energy", "energy per voxel (MeV)"),
        ("loss", "dE/dx over 3 cm (MeV/cm)"),
        ("neighbours", "voxels within 5 voxels"),
        ("density", "voxels per voxel of length"),
    ):
        a, b = getattr(real, name), getattr(simulated, name)
        distance = ks_2samp(a, b).statistic if a.size > 1 else np.nan
        rows.append((label, a.size, np.median(b), np.median(a), b.mean(), a.mean(), distance))
    columns = ["quantity", "n real", "median sim", "median real", "mean sim", "mean real", "KS distance"]
    return TrackComparison(real, simulated, entries, pd.DataFrame(rows, columns=columns))
