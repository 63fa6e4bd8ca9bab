"""Names of simulated files, as the published formats want them."""

from tpcfm.errors import ConfigError

NAMES = {"lartpc": "part_{:03d}.h5", "collider": "spacepoints_{:03d}.npz"}
"""Simulation: name of its file of a number."""


def raw_name(simulation: str, index: int) -> str:
    """Return the name of a simulated file.

    Raises:
        ConfigError: no such simulation.
    """
    if simulation not in NAMES:
        raise ConfigError(f"simulation {simulation!r}: unknown; there are {', '.join(NAMES)}")
    return NAMES[simulation].format(index)
