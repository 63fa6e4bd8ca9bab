"""One simulated PILArNet-M file."""

from pathlib import Path

from tpcfm.errors import ConfigError
from tpcfm.simulate.lartpc.event import Simulator
from tpcfm.simulate.lartpc.generator import Settings
from tpcfm.simulate.lartpc.write import write_pilarnet


def simulate_file(
    path: str | Path,
    events: int,
    seed: int,
    *,
    index: int = 0,
    revision: str = "v2",
    settings: Settings | None = None,
) -> None:
    """Simulate ``events`` events and write one PILArNet-M file with its point-count sidecar.

    Event k is a function of (seed, index, k) and the settings alone, so files can be made in any order and in parallel.

    Raises:
        ConfigError: a number or the revision is not allowed.
        MachineError: the file cannot be written.
    """
    if events < 1:
        raise ConfigError(f"events = {events}: at least 1 is needed")
    if index < 0:
        raise ConfigError(f"index = {index}: must not be negative")
    if Path(path).suffix != ".h5":
        raise ConfigError(f"{path}: the name of a PILArNet-M file ends in .h5")
    simulator = Simulator(settings)
    write_pilarnet(path, (simulator.event(seed, index, k) for k in range(events)), events, revision=revision)
