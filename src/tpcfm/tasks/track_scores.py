"""Scores of found tracks: one way for the adapters and for every comparison system."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tpcfm.evaluate.event_scores import CALIBRATED, tracking_sums, write_event_scores
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.momentum_bins import MomentumTally
from tpcfm.evaluate.selected_tracks import SelectedTally, read_particles
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.prepare.groups.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.workspace import Workspace

Rows = npt.NDArray[np.int64]
Value = TypeVar("Value")


class TrackScores:
    """Collects a test set: Rand index and double majority (also under a calibrated decision), and the efficiency of the tracks that experiments quote.

    Args:
        store: the sequences.
        rows: their test events.
        workspace, dataset: where the event tables may hold truth particles.
    """

    def __init__(self, store: PreparedStore, rows: Rows, workspace: Workspace, dataset: str) -> None:
        self.store = store
        self.event_ids: list[str] = []
        self.calibrated = TrackingTally()
        self.tally = TrackingTally()
        bend = store.detector.pt_per_radius
        self.selected, self.momentum = SelectedTally(bend), MomentumTally(bend)
        self.particles = read_particles(workspace.events(dataset), store.event_ids(rows))

    def update(
        self,
        rows: Rows,
        batch: Batch,
        prediction: npt.NDArray[np.integer],
        calibrated: npt.NDArray[np.integer] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            rows: of its events in the store.
            batch: with truth.
            prediction: (N,) the predicted label of each point, negative for none.
            calibrated: (N,) the same under a rule chosen on validation events, if there is one.
        """
        self.tally.update(batch["track"], prediction, batch["offsets"])
        if calibrated is not None:
            self.calibrated.update(batch["track"], calibrated, batch["offsets"])
        for name, start, stop in zip(
            self.store.event_ids(rows), batch["offsets"][:-1], batch["offsets"][1:], strict=True
        ):
            if stop > start:
                self.event_ids.append(name)
                part = slice(int(start), int(stop))
                particles = self.particles.get(name)
                for tally in (self.selected, self.momentum):
                    tally.update(batch["track"][part], prediction[part], batch["xyz"][part], particles)

    def values(self) -> dict[str, float]:
        """Return the metrics by name, with the numbers of events and true tracks."""
        sizes = {"test_events": float(len(self.tally)), "true_tracks": float(self.tally.counts.true)}
        own = {**self.tally.values(), **self.selected.values(), **self.momentum.values(), **sizes}
        return own | _calibrated(self.calibrated.values() if len(self.calibrated) else {})

    def write(self, folder: Path) -> None:
        """Write the scores of every event (``event_scores.parquet``)."""
        sums = tracking_sums(self.tally.table)
        if len(self.calibrated):
            sums |= tracking_sums(self.calibrated.table, suffix=CALIBRATED)
        write_event_scores(folder / EVENT_SCORES, self.event_ids, [("tracks", 0, sums)])

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals where there are any: bootstrap over events, Wilson for the selected tracks."""
        own = {**self.tally.intervals(), **self.selected.intervals(), **self.momentum.intervals()}
        return own | _calibrated(self.calibrated.intervals() if len(self.calibrated) else {})


def _calibrated(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name + CALIBRATED: value for name, value in values.items()}
