"""Which format a file of columns has: by its first bytes, of text by its ending."""

from contextlib import AbstractContextManager
from pathlib import Path

import h5py

from tpcfm.errors import DataError
from tpcfm.readers.columns import arrow, hdf5, npz, root, text_file
from tpcfm.readers.columns.source import Source
from tpcfm.readers.kinds import begins_with, is_zip


def open_source(path: Path, table: str | None = None) -> "AbstractContextManager[Source]":
    """Open a file as columns.

    Raises:
        DataError: not one of the formats, damaged, or no such table in it.
        MachineError: a ROOT file without `uproot`.
    """
    if begins_with(path, b"PAR1", b"ARROW1"):
        return arrow.open_file(path, table)
    if begins_with(path, b"root"):
        return root.open_file(path, table)
    if is_zip(path):
        return npz.open_file(path, table)
    if h5py.is_hdf5(path):
        return hdf5.open_file(path, table)
    if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".txt")):
        return text_file.open_file(path, table)
    raise DataError(
        f"{path}: neither Parquet, Feather, HDF5, npz, ROOT nor CSV (.csv, .tsv, .txt, also .gz); is it empty or damaged from the start?"
    )
