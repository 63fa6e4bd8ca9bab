"""The simulations there are, by the name that a detector file gives (``simulation``): how their files are called, what they can vary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SimulatedFiles:
    """What the plan has to know of a simulation (`tpcfm simulate NAME`).

    Attributes:
        name: of a file of a number, as the published format wants it.
        options: settings of ``data.<key>.simulate`` that are options of the command.
        events_per_second: on one CPU core, rounded down.
    """

    name: str
    options: tuple[str, ...]
    events_per_second: float

    def arguments(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the options of the command for these settings."""
        words: list[str] = []
        for option in self.options:
            value = settings[option]
            words += [f"--{'' if value else 'no-'}{option}"] if isinstance(value, bool) else [f"--{option}", str(value)]
        return words


SIMULATIONS = {
    "lartpc": SimulatedFiles("part_{:03d}.h5", ("revision",), 100.0),
    "collider": SimulatedFiles("spacepoints_{:03d}.npz", ("source", "labelled", "particles"), 20.0),
}
