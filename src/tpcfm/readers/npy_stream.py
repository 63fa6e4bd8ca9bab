"""Arrays inside ``.npz`` files, read piece by piece: the zip member is decompressed as a stream, never whole."""

import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    ValueError,
)
_HEADER_LIMIT = 1 << 16


class NpzFile:
    """A ``.npz`` file whose members are read as streams.

    Raises:
        DataError: missing or damaged file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file")
        try:
            self._zip = zipfile.ZipFile(self.path)
            for member in self._zip.infolist():  # its own header must say what the directory says, where no checksum is
                self._zip.open(member).close()
        except _DAMAGE as error:
            raise DataError(f"{self.path}: not a readable npz (zip) file (damaged or cut short?): {error}") from error

    def __enter__(self) -> "NpzFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def names(self) -> list[str]:
        """Return the names of the arrays."""
        return [name.removesuffix(".npy") for name in self._zip.namelist()]

    def open(self, key: str) -> "NpyStream":
        """Return the array ``key`` as a stream.

        Raises:
            DataError: no such array, or an unreadable header.
        """
        if f"{key}.npy" not in self._zip.namelist():
            found = ", ".join(sorted(self.names())) or "nothing"
            raise DataError(f"{self.path}: no array {key!r}; found {found}")
        try:
            stream = self._zip.open(f"{key}.npy")
        except _DAMAGE as error:
            raise DataError(f"{self.path}: array {key!r} cannot be read: {error}") from error
        return NpyStream(stream, f"{self.path}: array {key!r}")

    def read(self, key: str) -> npt.NDArray[Any]:
        """Return a (small) array whole."""
        with self.open(key) as stream:
            values = stream.take(stream.rows)
            stream.finish()
        return values


class NpyStream:
    """Rows of a C-ordered array in NumPy's ``.npy`` format, read front to back.

    Attributes:
        dtype: type of the elements, in native byte order as returned by `take`.
        shape: shape of the whole array.
        rows: length of the first axis.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._stream = stream
        self._left = 0
        try:
            self.shape, fortran, stored = _read_header(stream)
        except (*_DAMAGE, SyntaxError, TypeError, KeyError, tokenize.TokenError) as error:
            stream.close()
            raise DataError(f"{name}: not a readable npy header: {error}") from error
        if stored.hasobject:
            raise DataError(f"{name}: holds Python objects, which are never loaded; expected numbers")
        if fortran and len(self.shape) > 1:
            raise DataError(f"{name}: stored column by column (Fortran order), expected row by row")
        if not self.shape:
            raise DataError(f"{name}: a single number, expected an array")
        self._stored = stored
        self.dtype = stored.newbyteorder("=")
        self.rows = self.shape[0]
        self._row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * stored.itemsize
        self._left = self.rows

    def __enter__(self) -> "NpyStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def take(self, rows: int) -> npt.NDArray[Any]:
        """Return the next ``rows`` rows, shape (rows, ...).

        Raises:
            DataError: fewer rows are left, or the file is damaged here.
        """
        if rows > self._left:
            raise DataError(f"{self.name}: {rows} more rows asked for, {self._left} left of {self.rows}")
        pieces = bytearray()
        want = rows * self._row_bytes
        while len(pieces) < want:
            piece = self._read(min(want - len(pieces), 1 << 22))
            if not piece:
                raise DataError(f"{self.name}: ends before its {self.rows} rows do")
            pieces += piece
        self._left -= rows
        return np.frombuffer(pieces, self._stored).reshape(rows, *self.shape[1:]).astype(self.dtype, copy=False)

    def finish(self) -> None:
        """Read past the last row, which makes the zip layer compare its checksum.

        Raises:
            DataError: rows or bytes are left over, or the checksum differs.
        """
        if self._left:
            raise DataError(f"{self.name}: {self._left} of {self.rows} rows belong to no event")
        if self._read(1):
            raise DataError(f"{self.name}: more bytes than its header announces")

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except _DAMAGE as error:
            raise DataError(f"{self.name}: damaged: {error}") from error


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran flag and dtype of an ``.npy`` stream, and leave it at the first element."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise ValueError("does not begin like an npy file")
    width, pattern = (2, "<H") if start[6] == 1 else (4, "<I")
    size = stream.read(width)
    (length,) = struct.unpack(pattern, size)
    if length > _HEADER_LIMIT:
        raise ValueError(f"header of {length} bytes")
    whole = io.BytesIO(start + size + stream.read(length))
    whole.seek(8)
    read = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings(action="ignore"):  # that a header it cannot read may be of Python 2
        shape, fortran, dtype = read(whole)
    if any(side < 0 for side in shape):
        raise ValueError(f"shape {shape}")
    return shape, fortran, dtype
