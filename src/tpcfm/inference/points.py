"""Events as people hold them in Python: NumPy arrays, torch tensors, mappings, pandas frames, awkward arrays, or lists of these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError

Points = Any
"""What `as_events` takes."""
Event = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """Events, and the form in which their answers go back.

    Attributes:
        events: columns of each.
        single: one event was given by itself.
        frame, groups: a frame of several events, and the rows of each event in it.
    """

    events: list[Event]
    single: bool = False
    frame: pd.DataFrame | None = None
    groups: tuple[Any, ...] = ()

    def deliver(self, answer: Callable[[list[Event]], list[Any]], rows: bool = True) -> Any:
        """Return the answers in the form in which the events came.

        Args:
            answer: of all events.
            rows: join the answers' tables to the rows of a frame.
        """
        found = answer(self.events)
        if self.single:
            return found[0]
        if self.frame is None or not rows:
            return found
        if not found:
            return pd.DataFrame(index=self.frame.index)
        joined = pd.concat([one.frame() for one in found], ignore_index=True)
        order = np.concatenate(self.groups)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return joined.iloc[back].set_axis(self.frame.index)


def as_events(points: Points, detector: Detector, event: str | Sequence[str] | None = None) -> Given:
    """Return what was given as events of a detector.

    Args:
        points: see `tpcfm.inference.model.Model.predict`.
        detector: names the columns.
        event: column or columns of a frame that tell its events apart.

    Raises:
        DataError: a form that is not understood, or columns that are missing.
    """
    if event is not None:
        if not isinstance(points, pd.DataFrame):
            raise DataError(f"event={event!r}: names a column of a pandas frame; given is a {type(points).__name__}")
        keys = [event] if isinstance(event, str) else list(event)
        if missing := [key for key in keys if key not in points]:
            raise DataError(f"event={event!r}: the frame has no column {', '.join(missing)}; it has {_few(points)}")
        groups = tuple(points.groupby(keys, sort=False, dropna=False).indices.values())
        groups = tuple(sorted(groups, key=lambda rows: rows[0]))
        return Given([_one(points.iloc[rows], detector) for rows in groups], frame=points, groups=groups)
    if isinstance(points, list | tuple):
        return Given([_one(one, detector) for one in points])
    if _awkward(points) and points.ndim > 1:
        return Given([_one(one, detector) for one in points])
    return Given([_one(points, detector)], single=True)


def _needed(detector: Detector) -> list[str]:
    return ["x", "y", "z", *(signal.name for signal in detector.signal)]


def _one(points: Any, detector: Detector) -> Event:
    """Return the columns of one event; of labels only those whose classes are cut out before a model sees an event."""
    if isinstance(points, Mapping | pd.DataFrame) or _awkward(points):
        needed = _needed(detector)
        held = points.fields if _awkward(points) else points
        if missing := [name for name in needed if name not in held]:
            raise DataError(
                f"points: no column {', '.join(missing)}; needed are {', '.join(needed)}, there are {_few(held)}"
            )
        cuts = [name for name, label in detector.classes().items() if label.removed and name in held]
        return {name: _array(points[name], name) for name in [*needed, *cuts]}
    needed, table = _needed(detector), _array(points, "points")
    if table.ndim != 2 or table.shape[1] != len(needed):
        raise DataError(
            f"points: an array of shape {table.shape}; needed is (N, {len(needed)}), the columns {', '.join(needed)}"
        )
    return dict(zip(needed, table.T, strict=True))


def _array(values: Any, name: str) -> Any:
    if hasattr(values, "detach"):  # a tensor, perhaps with a gradient or on a GPU
        values = values.detach().cpu()
    found = np.asarray(values)
    if found.dtype.kind not in "fiub":
        raise DataError(f"{name}: holds {found.dtype}; needed are numbers")
    return found


def _awkward(points: Any) -> bool:
    return type(points).__module__.split(".")[0] == "awkward"


def _few(names: Any) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")
