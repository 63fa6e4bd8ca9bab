"""The simulations there are, by the name that a detector gives as its ``simulation``; nothing heavy is imported before one runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Simulation:
    """Writes raw files of its detector.

    Attributes:
        file_name: name of file ``index``.
        write: ``(path, *, events, seed, index, **options)`` writes that file, and those that belong to it beside it.
    """

    file_name: Callable[[int], str]
    write: Callable[..., None]


def _lartpc(path: Path, *, events: int, seed: int, index: int, **options: Any) -> None:
    from tpcfm.simulate.lartpc import simulate_file

    simulate_file(path, events, seed, index=index, **options)


def _collider(path: Path, *, events: int, seed: int, index: int, **options: Any) -> None:
    from tpcfm.simulate.collider import simulate_file

    simulate_file(Path(path).parent, index, events, seed, **options)


SIMULATIONS = {
    "lartpc": Simulation(lambda index: f"part_{index:03d}.h5", _lartpc),
    "collider": Simulation(lambda index: f"spacepoints_{index:03d}.npz", _collider),
}
