"""Scores of found tracks: one way for the adapters and for every comparison system."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import tracking_sums, write_event_scores
from tpcfm.evaluate.momentum_bins import MomentumTally
from tpcfm.evaluate.selected_tracks import SelectedTally, read_particles
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.prepare.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.workspace import Workspace

Rows = npt.NDArray[np.int64]


class TrackScores:
    """Collects a test set: Rand index, double majority, and the efficiency of the tracks that experiments quote.

    Args:
        store: the sequences.
        rows: their test events.
        workspace, dataset: where the event tables may hold truth particles.
    """

    def __init__(self, store: PreparedStore, rows: Rows, workspace: Workspace, dataset: str) -> None:
        self.store = store
        self.event_ids: list[str] = []
        self.tally, self.selected, self.momentum = TrackingTally(), SelectedTally(), MomentumTally()
        self.particles = read_particles(workspace.events(dataset), store.event_ids(rows))

    def update(self, rows: Rows, batch: Batch, prediction: npt.NDArray[np.integer]) -> None:
        """Add a batch: its rows in the store and the predicted label of each point (negative: none)."""
        self.tally.update(batch["track"], prediction, batch["offsets"])
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
        return {**self.tally.values(), **self.selected.values(), **self.momentum.values(), **sizes}

    def write(self, folder: Path) -> None:
        """Write the scores of every event (``event_scores.parquet``)."""
        write_event_scores(folder / EVENT_SCORES, self.event_ids, [("tracks", 0, tracking_sums(self.tally.table))])

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals where there are any: bootstrap over events, Wilson for the selected tracks."""
        return {**self.tally.intervals(), **self.selected.intervals(), **self.momentum.intervals()}
