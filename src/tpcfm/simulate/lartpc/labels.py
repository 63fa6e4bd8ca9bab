"""From deposits per particle to labelled voxels: fragments, groups and the low-energy remainder.

An electromagnetic particle is cut into its connected pieces. Pieces of ten voxels or more are fragments; smaller ones are
low-energy deposits, and so is what a photon leaves on the spot (soft Compton and photoelectric electrons). A delta ray
that adds fewer than ten voxels to its parent's track stays part of that track. A voxel that several particles share
carries the sum of their energies and the label of the largest contribution.
"""

from typing import NamedTuple

import numpy as np

from tpcfm.simulate.lartpc.apparatus import ENERGY_THRESHOLD_MEV, LOW_ENERGY
from tpcfm.simulate.lartpc.kernels import inner_kernel, kernel, outer_kernel
from tpcfm.simulate.lartpc.work import (
    BLIP,
    DE,
    DELTA,
    DT,
    DX,
    IM_INTERACTION,
    IM_KIND,
    IM_PARENT,
    IM_PID,
    MICHEL,
    N_DEPOSIT,
    N_INSTANCE,
    TRACK,
    VOXEL_BITS,
    VOXEL_MASK,
    Work,
    slot_of,
)

VISIBLE = ENERGY_THRESHOLD_MEV  # MeV; only voxels above count towards the sizes below
MIN_FRAGMENT = 10  # voxels of a shower or delta fragment
MIN_MICHEL = 5
MIN_TRACK = 3
_SHOWER_ID, _TRACK_ID, _MICHEL_ID, _DELTA_ID = 0, 1, 2, 3
_LED = -1


class Labelled(NamedTuple):
    """Voxels of one event in cluster order, low-energy deposits first, and their clusters."""

    voxel: np.ndarray  # (N, 3) int16
    energy: np.ndarray  # (N,) float32, MeV
    path: np.ndarray  # (N,) float32, cm
    time: np.ndarray  # (N,) float32, ns
    size: np.ndarray  # (C,) int32; row 0 is the low-energy cluster
    fragment: np.ndarray  # (C,) int32
    group: np.ndarray  # (C,) int32
    interaction: np.ndarray  # (C,) int32
    semantic: np.ndarray  # (C,) int32
    pid: np.ndarray  # (C,) int32
    instance: np.ndarray  # (C,) int64, -1 for the low-energy cluster


@kernel
def _find(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@inner_kernel
def _lookup(work: Work, key: int) -> int:
    """Return the deposit row of a key, or -1."""
    size = work.key.size
    slot = slot_of(key, size)
    while work.key[slot] != -1:
        if work.key[slot] == key:
            return work.row[slot]
        slot = (slot + 1) & (size - 1)
    return -1


@inner_kernel
def _connect(work: Work) -> np.ndarray:
    """Join the 26-connected deposits of each instance; returns the component root of each row. Tracks stay whole."""
    n = work.counts[N_DEPOSIT]
    parent = np.arange(n)
    whole = np.full(work.counts[N_INSTANCE], -1, np.int64)
    for i in range(n):
        key = work.deposit_key[i]
        instance = key >> VOXEL_BITS
        if work.instance_id[instance, IM_KIND] in (TRACK, BLIP):
            if whole[instance] < 0:
                whole[instance] = i
            parent[i] = whole[instance]
            continue
        x, y, z = (key >> 20) & 1023, (key >> 10) & 1023, key & 1023
        for dx in range(2):
            for dy in range(-1, 2):
                for dz in range(-1, 2):
                    if dx == 0 and (dy < 0 or (dy == 0 and dz <= 0)):
                        continue
                    if y + dy < 0 or z + dz < 0 or x + dx > 1023 or y + dy > 1023 or z + dz > 1023:
                        continue
                    j = _lookup(work, key + (dx << 20) + (dy << 10) + dz)
                    if j >= 0:
                        a, b = _find(parent, i), _find(parent, j)
                        if a != b:
                            parent[max(a, b)] = min(a, b)
    for i in range(n):
        parent[i] = _find(parent, i)
    return parent


@inner_kernel
def _fragments(work: Work) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each deposit a fragment number or -1; returns (label per row, instance per fragment, semantic per fragment)."""
    n, m = work.counts[N_DEPOSIT], work.counts[N_INSTANCE]
    root = _connect(work)
    size = np.zeros(n, np.int64)
    first = np.full(m, -1, np.int64)  # earliest row of each instance
    for i in range(n):
        key = work.deposit_key[i]
        instance = key >> VOXEL_BITS
        if first[instance] < 0 or work.deposit[i, DT] < work.deposit[first[instance], DT]:
            first[instance] = i
        own = work.deposit[i, DE] > VISIBLE
        if own and work.instance_id[instance, IM_KIND] == DELTA:
            j = _lookup(work, (work.instance_id[instance, IM_PARENT] << VOXEL_BITS) | (key & VOXEL_MASK))
            own = j < 0 or work.deposit[j, DE] < work.deposit[i, DE]
        if own:
            size[root[i]] += 1
    number = np.full(n, -2, np.int64)  # per component root; -2: not decided yet
    instances = np.zeros(n + 1, np.int64)
    semantics = np.zeros(n + 1, np.int64)
    track = np.full(m, _LED, np.int64)  # fragment of each track
    count = 0
    # Components in order of instance, so that a parent's fragment is known before its daughters ask for it.
    order = np.argsort(work.deposit_key[:n] >> VOXEL_BITS, kind="mergesort")
    for i in order:
        r = root[i]
        if number[r] != -2:
            continue
        instance = work.deposit_key[r] >> VOXEL_BITS
        kind = work.instance_id[instance, IM_KIND]
        main = root[first[instance]] == r
        number[r] = _LED
        semantic = _SHOWER_ID
        keep = size[r] >= MIN_FRAGMENT
        if kind == TRACK:
            semantic, keep = _TRACK_ID, size[r] >= MIN_TRACK
        elif kind == BLIP:
            keep = False
        elif main and kind == DELTA:
            semantic = _DELTA_ID
        elif main and kind == MICHEL:
            semantic, keep = _MICHEL_ID, size[r] >= MIN_MICHEL
        if keep:
            number[r] = count
            instances[count], semantics[count] = instance, semantic
            if kind == TRACK:
                track[instance] = count
            count += 1
        elif main and kind in (DELTA, MICHEL):
            number[r] = track[work.instance_id[instance, IM_PARENT]]
    label = np.empty(n, np.int64)
    for i in range(n):
        label[i] = number[root[i]]
    return label, instances[:count], semantics[:count]


@inner_kernel
def _merge(work: Work, label: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge deposits of equal voxel; returns (voxel keys, fragment numbers, (n, 3) energy, path and time)."""
    n = label.size
    voxel = work.deposit_key[:n] & VOXEL_MASK
    order = np.argsort(voxel, kind="mergesort")
    keys = np.empty(n, np.int64)
    owner = np.empty(n, np.int64)
    values = np.empty((n, 3))
    count = 0
    start = 0
    while start < n:
        end = start
        energy, path, time, best, best_energy = 0.0, 0.0, np.inf, _LED, -1.0
        while end < n and voxel[order[end]] == voxel[order[start]]:
            i = order[end]
            energy += work.deposit[i, DE]
            path += work.deposit[i, DX]
            time = min(time, work.deposit[i, DT])
            same = 0.0
            for other in range(start, end + 1):
                if label[order[other]] == label[i]:
                    same += work.deposit[order[other], DE]
            if same > best_energy:
                best, best_energy = label[i], same
            end += 1
        if energy > threshold:
            keys[count], owner[count] = voxel[order[start]], best
            values[count, 0], values[count, 1], values[count, 2] = energy, path, time
            count += 1
        start = end
    return keys[:count], owner[:count], values[:count]


@outer_kernel
def _merged(work, threshold):  # type: ignore[no-untyped-def]
    row_label, instance, semantic = _fragments(work)
    key, owner, value = _merge(work, row_label, threshold)
    return instance, semantic, key, owner, value


def label(work: Work, threshold: float) -> Labelled:
    """Turn the deposits of an event into voxels above ``threshold`` MeV and clusters with the published labels."""
    instance, semantic, key, owner, value = _merged(work, threshold)
    size = np.bincount(owner + 1, minlength=instance.size + 1)
    kept = np.flatnonzero(size[1:])
    instance, semantic = instance[kept], semantic[kept]
    fragment = np.arange(kept.size)
    # A group is named after its first fragment: the one that holds the start of the particle where that survives.
    _, first, group = np.unique(instance, return_index=True, return_inverse=True)
    group = first[group]
    _, interaction = np.unique(work.instance_id[instance, IM_INTERACTION], return_inverse=True)
    order = np.lexsort((key, owner))
    key, value = key[order], value[order].astype(np.float32)

    def column(low_energy: int, values: np.ndarray) -> np.ndarray:
        return np.concatenate([[low_energy], values]).astype(np.int32)

    return Labelled(
        voxel=np.stack([key >> 20, (key >> 10) & 1023, key & 1023], axis=1).astype(np.int16),
        energy=value[:, 0],
        path=value[:, 1],
        time=value[:, 2],
        size=column(int(size[0]), size[1:][kept]),
        fragment=column(-1, fragment),
        group=column(-1, group),
        interaction=column(-1, interaction),
        semantic=column(LOW_ENERGY, semantic),
        pid=column(-1, work.instance_id[instance, IM_PID]),
        instance=np.concatenate([[-1], instance]),
    )
