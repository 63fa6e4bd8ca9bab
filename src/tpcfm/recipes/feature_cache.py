"""Features of a frozen backbone, computed once per event and kept for all epochs."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.errors import MachineError
from tpcfm.models.fm4npp import Fm4npp
from tpcfm.prepare.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore

Rows = npt.NDArray[np.int64]
MEMORY_BYTES = 1 << 30  # above, the features lie in a file


class FeatureCache:
    """Branch outputs of all layers per event, in half precision (as the published adapters were trained on).

    Args:
        backbone: frozen; moved to the device and put into evaluation mode.
        store: sequences cache.
        folder: where the file goes if the features do not fit in ``MEMORY_BYTES``; removed by :meth:`close`.
        max_points: points per pass through the backbone.
        device: where the backbone runs.
    """

    def __init__(
        self, backbone: Fm4npp, store: PreparedStore, folder: Path, max_points: int, device: torch.device
    ) -> None:
        self.backbone = backbone.to(device).eval().requires_grad_(False)
        self.store, self.folder, self.max_points, self.device = store, folder, max_points, device
        self.layers, self.width = backbone.config.depth, backbone.config.width
        self._values: npt.NDArray[np.float16] = np.empty(0, np.float16)
        self._starts: dict[int, int] = {}
        self._file: Path | None = None

    def fill(self, rows: Rows) -> None:
        """Compute and keep the features of some events.

        Raises:
            MachineError: the file cannot be written.
        """
        points = self.store.lengths[rows].astype(np.int64)
        ends = np.cumsum(points * self.layers * self.width)
        self._values = self._allocate(int(ends[-1]) if len(ends) else 0)
        self._starts = {int(row): int(end - n) for row, end, n in zip(rows, ends, points * self.layers * self.width)}
        batch: list[int] = []
        for row in rows:
            if batch and self.store.lengths[[*batch, row]].sum() > self.max_points:
                self._keep(batch)
                batch = []
            batch.append(int(row))
        if batch:
            self._keep(batch)

    def __call__(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Return the features of some events, (layers, N, D): kept ones, or computed now for events never filled in."""
        if any(int(row) not in self._starts for row in rows):
            return self.compute(rows)
        parts = []
        for row in rows:
            start, n = self._starts[int(row)], int(self.store.lengths[row])
            parts.append(self._values[start : start + n * self.layers * self.width].reshape(self.layers, n, self.width))
        return np.concatenate(parts, axis=1)

    @torch.no_grad()
    def compute(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Run the backbone on some events."""
        batch = collate_sequences(self.store, rows, 0)
        features = torch.from_numpy(batch["features"]).to(self.device)
        offsets = torch.from_numpy(batch["offsets"]).to(self.device)
        return self.backbone.branches(features, offsets).half().cpu().numpy()

    def close(self) -> None:
        """Forget the features and remove their file."""
        self._starts = {}
        self._values = np.empty(0, np.float16)
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None

    def _keep(self, rows: list[int]) -> None:
        values = self.compute(np.array(rows))
        at = 0
        for row in rows:
            n, start = int(self.store.lengths[row]), self._starts[row]
            self._values[start : start + n * self.layers * self.width] = values[:, at : at + n].ravel()
            at += n

    def _allocate(self, size: int) -> npt.NDArray[np.float16]:
        if 2 * size <= MEMORY_BYTES:
            return np.empty(size, np.float16)
        self._file = self.folder / "features.f16"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return np.memmap(self._file, np.float16, "w+", shape=(size,))
        except OSError as error:
            raise MachineError(
                f"{self._file}: {2 * size / 2**30:.1f} GiB of backbone features do not fit here: {error.strerror or error}"
            ) from error
