"""Labels beside the points of a PILArNet-M file: ``point`` as it was, and per label a variable-length row per event.

The published layout gives classes and ids to whole clusters, in whose order the points lie. A network labels points, which need not agree
within a cluster, so labels stand point by point: ``file["semantic"][i]`` belongs to ``file["point"][i].reshape(-1, 8)``.
"""

from pathlib import Path

import h5py

from tpcfm.detectors.model import Detector
from tpcfm.files import atomic
from tpcfm.readers.pilarnet import open_hdf5
from tpcfm.readers.write.labels import LabelStream

EVENTS = 256


def write_labels(path: Path, detector: Detector, labels: LabelStream, folder: Path) -> None:
    """Write ``<folder>/<name of the file>`` (see `tpcfm.readers.write.registry.write_labels`)."""
    with open_hdf5(path) as raw, atomic(folder / path.name) as temporary, h5py.File(temporary, "w") as out:
        raw.copy("point", out)
        count = len(raw["point"])
        made = {
            name: out.create_dataset(name, (count,), h5py.vlen_dtype(kind), chunks=True)
            for name, kind in labels.kinds.items()
        }
        for start in range(0, count, EVENTS):
            rows = min(EVENTS, count - start)
            for name, found in labels.events(rows).items():
                for i in range(rows):
                    made[name][start + i] = found.values[found.offsets[i] : found.offsets[i + 1]]
        labels.finish()
