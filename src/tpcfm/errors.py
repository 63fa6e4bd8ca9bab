"""Exceptions, one class per party who has to act. The message says what was found, what is allowed, what to do."""


class TpcfmError(Exception):
    """Root of every error that a user can cause or mend; the command line prints it without a traceback."""

    exit_code = 2


class ConfigError(TpcfmError):
    """A key or value of the configuration is wrong: names key, value and what is allowed."""


class DataError(TpcfmError):
    """A file or event is damaged or of another layout: names file, event, what was found and what was expected."""


class CheckpointError(TpcfmError):
    """A checkpoint or model directory does not fit what was asked of it."""


class MachineError(TpcfmError):
    """The machine lacks something: disk, permission, a program, a device, a server."""


class DivergenceError(TpcfmError):
    """Training met a loss or gradient that is not finite: names step, values and where the events are on record."""


class Interrupted(TpcfmError):
    """Training saved its state and stopped early (signal or time limit); running the same command continues it."""

    exit_code = 75  # EX_TEMPFAIL
