"""Features of a frozen backbone, computed once per event and kept for all epochs, as far as there is room."""

import logging
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tpcfm.errors import ConfigError, MachineError
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore

Rows = npt.NDArray[np.int64]
MEMORY_BYTES = 1 << 30  # above, the features lie in a file
DISK_SHARE = 0.9  # of the free space that the file may take
LIMIT = (
    "TPCFM_SCRATCH_GB"  # environment variable: most gigabytes the file may take; `tpcfm finetune --scratch-gb` sets it
)
LOG = logging.getLogger(__name__)


class FeatureCache:
    """What the adapters read of every event, in half precision (as the published adapters were trained on).

    That is the output of each residual branch, and of the point embedding before them if ``embedding`` is set; with ``final`` the
    normalised end of the residual stream alone. Events that do not fit are left out, and their features computed anew whenever
    they are read: slower, the same numbers up to rounding.

    Args:
        backbone: frozen; moved to the device and put into evaluation mode.
        store: sequences cache.
        folder: where the file goes if the features do not fit in ``MEMORY_BYTES``; removed by :meth:`close`.
        max_points: points per pass through the backbone.
        device: where the backbone runs.
        embedding: the point embedding is the first layer.
        final: the only layer is the final output.
    """

    def __init__(
        self,
        backbone: Fm4npp,
        store: PreparedStore,
        folder: Path,
        max_points: int,
        device: torch.device,
        embedding: bool = False,
        final: bool = False,
    ) -> None:
        self.backbone = backbone.to(device).eval().requires_grad_(False)
        self.store, self.folder, self.max_points, self.device = store, folder, max_points, device
        self.embedding, self.final = embedding, final
        self.layers, self.width = 1 if final else backbone.config.depth + embedding, backbone.config.width
        self._values: npt.NDArray[np.float16] = np.empty(0, np.float16)
        self._starts: dict[int, int] = {}
        self._file: Path | None = None
        self._left_out = 0
        self._one_at_a_time = threading.Lock()  # batches are made in several threads

    def fill(self, rows: Rows) -> None:
        """Compute and keep the features of some events, in the order given until the room is used up.

        Raises:
            MachineError: the file cannot be written.
            ConfigError: the limit in the environment is no number.
        """
        self.close()
        sizes = self.store.lengths[rows].astype(np.int64) * self.layers * self.width
        ends = np.cumsum(sizes)
        needed = 2 * int(ends[-1]) if len(ends) else 0
        room = needed if needed <= MEMORY_BYTES else self._room()
        kept = int(np.searchsorted(2 * ends, room, side="right"))
        self._left_out = len(rows) - kept
        if self._left_out:
            LOG.warning(
                "features of %d events take %.1f GB, %.1f GB are allowed or free in %s: %d are kept, those of the other %d are "
                "computed anew whenever they are read (--scratch-gb, or more disk)",
                len(rows), needed / 1e9, room / 1e9, self.folder, kept, self._left_out,
            )  # fmt: skip
        rows, ends, sizes = rows[:kept], ends[:kept], sizes[:kept]
        self._values = self._allocate(int(ends[-1]) if kept else 0)
        self._starts = {int(row): int(end - size) for row, end, size in zip(rows, ends, sizes, strict=True)}
        batch: list[int] = []
        for row in rows:
            if batch and self.store.lengths[[*batch, row]].sum() > self.max_points:
                self._keep(batch)
                batch = []
            batch.append(int(row))
        if batch:
            self._keep(batch)

    def __call__(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Return the features of some events, (layers, N, D): kept ones, or computed now for events not kept."""
        missing = np.array([row for row in rows if int(row) not in self._starts], dtype=np.int64)
        made = self.compute(missing) if len(missing) else np.empty((self.layers, 0, self.width), np.float16)
        parts, at = [], 0
        for row in rows:
            n = int(self.store.lengths[row])
            if int(row) in self._starts:
                start = self._starts[int(row)]
                part = self._values[start : start + n * self.layers * self.width].reshape(self.layers, n, self.width)
            else:
                part, at = made[:, at : at + n], at + n
            parts.append(part)
        return np.concatenate(parts, axis=1)

    @torch.no_grad()
    def compute(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Run the backbone on some events."""
        batch = collate_sequences(self.store, rows, 0)
        with self._one_at_a_time:
            features = torch.from_numpy(batch["features"]).to(self.device)
            offsets = torch.from_numpy(batch["offsets"]).to(self.device)
            return self.backbone.read(features, offsets, self.embedding, self.final).half().cpu().numpy()

    def record(self) -> dict[str, Any]:
        """Return what ``run.json`` says: events kept, events computed anew at every reading, bytes."""
        return {"events_kept": len(self._starts), "events_recomputed": self._left_out, "bytes": self._values.nbytes}

    def close(self) -> None:
        """Forget the features and remove their file."""
        self._starts, self._left_out = {}, 0
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

    def _room(self) -> int:
        """Return the bytes that the file may take: a share of the free space, or less if the environment says so."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            old = self.folder / "features.f16"  # of an attempt that was killed; it is written anew
            old.unlink(missing_ok=True)
            free = int(DISK_SHARE * shutil.disk_usage(self.folder).free)
        except OSError as error:
            raise MachineError(
                f"{self.folder}: cannot hold features of the backbone: {error.strerror or error}"
            ) from error
        if not (said := os.environ.get(LIMIT, "")):
            return free
        try:
            return min(free, int(float(said) * 1e9))
        except ValueError as error:
            raise ConfigError(f"{LIMIT}={said!r}: expected a number of gigabytes") from error

    def _allocate(self, size: int) -> npt.NDArray[np.float16]:
        if 2 * size <= MEMORY_BYTES:
            return np.empty(size, np.float16)
        self._file = self.folder / "features.f16"
        try:
            with open(self._file, "wb") as stream:
                if hasattr(os, "posix_fallocate"):
                    # A file with holes would end the process with a bus error when the disk is full later.
                    os.posix_fallocate(stream.fileno(), 0, 2 * size)
                else:
                    stream.truncate(2 * size)
            return np.memmap(self._file, np.float16, "r+", shape=(size,))
        except OSError as error:
            self._file.unlink(missing_ok=True)
            raise MachineError(
                f"{self._file}: no room for {2 * size / 1e9:.1f} GB of backbone features: {error.strerror or error}; "
                "`--scratch-gb` sets how much may be kept, the rest is computed anew whenever it is read"
            ) from error
