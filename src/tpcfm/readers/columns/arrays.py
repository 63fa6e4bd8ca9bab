"""Arrays as columns: of two dimensions column by column (``name[0]``), of records field by field (``name.field``)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tpcfm.readers.columns.source import Column, native, text
from tpcfm.readers.ragged import Array

WIDEST = 64
"""Most columns of an array that are taken apart."""


@dataclass(frozen=True)
class Part:
    """A column out of an array: the name of the array, and which column or field of it."""

    array: str
    part: int | str | None = None

    def take(self, values: Array) -> Array:
        """Return the column out of some rows of the array."""
        if isinstance(self.part, str):
            values = values[self.part]
        elif self.part is not None:
            values = values[:, self.part]
        values = values.reshape(len(values))
        return text(values) if values.dtype.kind in "OSU" else native(np.ascontiguousarray(values))


def parts_of(
    name: str, dtype: np.dtype[Any], shape: tuple[int, ...], alone: bool = False
) -> dict[str, tuple[Part, Column]]:
    """Return the columns that an array stands for; none where it is no table.

    Args:
        name: of the array.
        dtype: of its elements.
        shape: of the array.
        alone: whether its fields and columns need no name before them.
    """
    prefix = "" if alone else f"{name}."
    if dtype.names and len(shape) == 1:
        fields = {field: dtype[field] for field in dtype.names if not dtype[field].shape}
        return {f"{prefix}{field}": (Part(name, field), _kind(kind)) for field, kind in fields.items()}
    if dtype.names or len(shape) not in (1, 2):
        return {}
    if len(shape) == 1 or shape[1] == 1:
        return {name: (Part(name), _kind(dtype))}
    return {f"{name}[{i}]": (Part(name, i), _kind(dtype)) for i in range(shape[1]) if shape[1] <= WIDEST}


def _kind(dtype: np.dtype[Any]) -> Column:
    return Column(dtype.kind if dtype.kind in "fiub" else "U")
