"""One event of any file, prepared as a trained model wants it: raw file, event table or prepared cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.read import open_table, read_events
from tpcfm.events.schema import detector_at, detector_of
from tpcfm.inference.file_events import FileEvent, open_events
from tpcfm.inference.preparation import Config, check_detector, model_detector, preparation
from tpcfm.prepare.points import read_columns
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config


@contextmanager
def open_event(
    file: str | Path, row: int, run: str | Path, detector: Detector | None = None
) -> Iterator[tuple[PreparedStore, int]]:
    """Open one event of any file as a trained model wants it: ``with open_event(file, 4, run) as (store, row): ...``.

    Args:
        file: raw file, event table or folder of a prepared cache.
        row: event of the file; of a raw file, among those that its detector's rules accept.
        run: model directory; its ``config.json`` says how its events are prepared.
        detector: whose reader opens a raw file, if not that of the model: files of the same detector in another format.

    Yields:
        A store with the event, and its row there.

    Raises:
        DataError, CheckpointError: as `prepared_event`.
    """
    yield prepared_event(Path(file), row, load_config(run), detector)


def prepared_event(file: Path, row: int, config: Config, detector: Detector | None = None) -> tuple[PreparedStore, int]:
    """Return a store with an event and its row there.

    Args:
        file: raw file, event table or folder of a prepared cache.
        row: event of the file; of a raw file, among those that its detector's rules accept.
        config: ``config.json`` of the model directory: its detector and tokenizer, or serialization and box edges.
        detector: whose reader opens a raw file, if not that of the model.

    Raises:
        DataError: no such file or event, an event of another detector, or one that the cuts reject.
        CheckpointError: the model directory does not say how its events were prepared.
    """
    model = model_detector(config)
    if not file.exists():
        raise DataError(f"{file}: no such file")
    if file.is_dir():
        store = PreparedStore(file)
        check_detector(store.detector, model, file, scaling=True)
        _check_row(file, row, len(store))
        return store, row
    if detector is not None:
        check_detector(detector, model, "--detector")
    prepare = preparation(config)
    made = prepare(_event(file, row, model, detector).columns or {})
    if isinstance(made, str):
        raise DataError(f"{file}: event {row} cannot be used by this model: {made}")
    return prepare.hold([made], file), 0


def _check_row(file: Path, row: int, count: int) -> None:
    if not 0 <= row < count:
        raise DataError(f"{file.name}: no event {row}: it has {count} (0 to {count - 1})")


def _event(file: Path, row: int, model: Detector, detector: Detector | None) -> FileEvent:
    """Return one event of a table, or of those of a raw file that can be used."""
    if detector_at(file) is not None:
        with open_table(file) as table:
            check_detector(detector_of(table.schema_arrow, file), model, file)
            _check_row(file, row, table.metadata.num_rows)
        (found,) = read_events(file, read_columns(model), rows=[row])
        return FileEvent(row, found["event_id"], found["n_points"], found)
    used, bad = 0, None
    with open_events(file, model, detector) as source:
        for event in source.events:
            if event.reason:
                bad = bad or event
            elif used == row:
                return event
            else:
                used += 1
    if not used and bad is not None:
        raise DataError(f"{file}: not one good event; event {bad.row}: {bad.reason}")
    _check_row(file, row, used)
    raise AssertionError("unreachable")
