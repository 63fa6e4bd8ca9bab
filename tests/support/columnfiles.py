"""One table of hits written in every format that the reader `columns` knows."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

ROWS = (
    "rows.parquet",
    "rows.feather",
    "rows.csv",
    "rows.csv.gz",
    "rows.npz",
    "rows.h5",
    "rows.root",
    "ntuple.root",
    "records.h5",
)
LISTS = ("lists.parquet", "lists.feather", "lists.h5", "groups.h5", "lists.root")
SIZES = ("sizes.npz", "offsets.h5")

DETECTOR: dict[str, Any] = {
    "name": "toy",
    "coordinates": {"unit": "cm"},
    "volume": {"shape": "cylinder", "r": [80, 260], "z": [-260, 260]},
    "pitch": 1.0,
    "signal": [{"name": "charge", "unit": "ADC"}],
    "labels": {
        "track": {"kind": "instances", "background": [0]},
        "pid": {"kind": "classes", "classes": {0: "other", 1: "pion", 2: "electron"}},
    },
    "read": {
        "event": "event_id",
        "unit": "mm",
        "columns": {"x": "hit_x", "y": "hit_y", "z": "hit_z", "charge": "adc", "track": "particle_id", "pid": "pdg"},
        "values": {"pid": {211: 1, -211: 1, 11: 2, "other": 0}},
    },
}


def hits(seed: int = 0, events: int = 7, mean: int = 40) -> pd.DataFrame:
    """Hits in millimetres: 64-bit particle ids with gaps, 0 for noise, PDG codes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(mean // 2, mean * 2, events)
    total = int(sizes.sum())
    radius, angle = rng.uniform(850, 2500, total), rng.uniform(-np.pi, np.pi, total)
    barcodes = np.array([0, 2**63 + 5, 4503668346847232, 17, 2**64 - 1], np.uint64)
    which = rng.integers(0, len(barcodes), total)
    return pd.DataFrame(
        {
            "event_id": np.repeat(np.arange(events) * 3 + 5, sizes),
            "hit_x": radius * np.cos(angle),
            "hit_y": radius * np.sin(angle),
            "hit_z": rng.uniform(-2500, 2500, total),
            "adc": rng.integers(1, 900, total),
            "particle_id": barcodes[which],
            "pdg": np.array([2212, 211, -211, 11, 13])[which],
        }
    )


def _arrow(table: pd.DataFrame, lists: bool) -> pa.Table:
    if not lists:
        return pa.Table.from_pandas(table, preserve_index=False)
    offsets = _offsets(table)
    columns = {n: pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(table[n])) for n in _points(table)}
    return pa.table({"event_id": table["event_id"].to_numpy()[offsets[:-1]], **columns})


def _offsets(table: pd.DataFrame) -> np.ndarray:
    if "event_id" not in table:
        return np.array([0, len(table)])
    events = table["event_id"].to_numpy()
    change = np.flatnonzero(events[1:] != events[:-1]) + 1
    return np.concatenate([[0], change, [len(table)]])


def _points(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name != "event_id"]


def write_hits(folder: Path, name: str, table: pd.DataFrame) -> Path:
    """Write the hits in the format that a name stands for; lists and sizes want the rows of an event to be neighbours."""
    path, lists = folder / name, name in LISTS
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {column: table[column].to_numpy() for column in table.columns}
    offsets = _offsets(table)
    if name.endswith(".parquet"):
        pq.write_table(_arrow(table, lists), path, row_group_size=60)
    elif name.endswith(".feather"):
        pyarrow.feather.write_feather(_arrow(table, lists), path)
    elif ".csv" in name:
        table.to_csv(path, index=False)
    elif name == "sizes.npz":
        np.savez(path, size=np.diff(offsets), **{n: arrays[n] for n in _points(table)})
    elif name.endswith(".npz"):
        np.savez_compressed(path, **{n: v.astype(str) if v.dtype == object else v for n, v in arrays.items()})
    elif name.endswith(".root"):
        _write_root(path, table, lists)
    else:
        with h5py.File(path, "w") as file:
            _write_hdf5(file, name, table, arrays, offsets)
    return path


def _write_hdf5(file: h5py.File, name: str, table: pd.DataFrame, arrays: dict[str, Any], offsets: np.ndarray) -> None:
    if name == "rows.h5":
        for column, values in arrays.items():
            file.create_dataset(f"hits/{column}", data=values)
    elif name == "records.h5":
        file.create_dataset("hits", data=table.to_records(index=False))
    elif name == "offsets.h5":
        for column in _points(table):
            file[column] = arrays[column]
        file["first"] = offsets
    else:
        for event, (a, b) in enumerate(pairwise(offsets)):
            for column in _points(table):
                if name == "groups.h5":
                    file[f"event_{event}/{column}"] = arrays[column][a:b]
                    continue
                if column not in file:
                    kind = h5py.vlen_dtype(arrays[column].dtype)
                    file.create_dataset(column, (len(offsets) - 1,), dtype=kind)
                file[column][event] = arrays[column][a:b]


def _write_root(path: Path, table: pd.DataFrame, lists: bool) -> None:
    import awkward
    import uproot

    arrays = {name: table[name].to_numpy() for name in table.columns}
    if lists:
        sizes = np.diff(_offsets(table))
        arrays = {name: awkward.unflatten(arrays[name], sizes) for name in _points(table)}
    with uproot.recreate(path) as file:
        if path.name == "ntuple.root":
            file.mkrntuple("hits", arrays)
        else:
            kinds = {name: awkward.type(values).content for name, values in arrays.items()} if lists else None
            tree = file.mktree("hits", kinds or {name: values.dtype for name, values in arrays.items()})
            tree.extend(arrays)


def detector_for(name: str, **changes: Any) -> dict[str, Any]:
    """The detector of the hits, as it reads a format."""
    read = dict(DETECTOR["read"])
    if name not in ROWS:
        read.pop("event")
    if name in SIZES:
        read |= {"sizes": "size"} if name == "sizes.npz" else {"offsets": "first"}
    return {**DETECTOR, "read": {**read, **changes}}
