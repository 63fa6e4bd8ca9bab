"""Labels in a copy of a file of columns: each in the column that the mapping names for it, which is replaced or added."""

from pathlib import Path

import numpy as np

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.files import atomic
from tpcfm.readers.columns.group import together
from tpcfm.readers.columns.mapping import Mapping, mapping_of
from tpcfm.readers.columns.reader import ColumnsReader
from tpcfm.readers.columns.source import Source, join
from tpcfm.readers.ragged import Ragged
from tpcfm.readers.write import copies
from tpcfm.readers.write.labels import LabelStream


def write_labels(path: Path, detector: Detector, labels: LabelStream, folder: Path) -> None:
    """Write ``<folder>/<name of the file>`` (see `tpcfm.readers.write.registry.write_labels`).

    Labels with ``read.values`` hold the values of the event table, not those of the file.
    """
    mapping = mapping_of(detector)
    targets = {name: mapping.column(name) for name in labels.kinds}
    with ColumnsReader(path, detector) as reader, atomic(folder / path.name) as temporary:
        source = reader.sources[0]
        given = _given(path, source, mapping, labels, reader.lists)
        place = next(mapping.column(axis) for axis in "xyz" if mapping.column(axis) in source.columns)
        copies.COPIES[source.form](copies.Original(path, source, place, reader.lists), targets, given, temporary)
        given.finish()


def _given(path: Path, source: Source, mapping: Mapping, labels: LabelStream, lists: bool) -> LabelStream:
    """Return the labels in the order of the rows of the file: events whose rows are not neighbours were read sorted by their keys."""
    keys = mapping.keys
    if lists or not keys or mapping.sizes or mapping.offsets:
        return labels
    if any(key not in source.columns for key in keys):
        raise DataError(
            f"{path}: its event column {', '.join(keys)} lies in a companion file; labels cannot be written like it"
        )
    if together(path, source.chunks(keys), keys):
        return labels
    pieces = [chunk.values for chunk in source.chunks(keys)]
    values = [join([piece[key] for piece in pieces]) for key in keys]
    codes = [np.unique(one, return_inverse=True)[1] for one in values if not isinstance(one, Ragged)]
    order = np.lexsort(codes[::-1])
    sorted_labels = labels.points(len(order))
    labels.finish()
    placed = {name: np.empty_like(found) for name, found in sorted_labels.items()}
    for name, found in sorted_labels.items():
        placed[name][order] = found
    return LabelStream(iter([placed]), {n: k.str for n, k in labels.kinds.items()}, path)
