"""What the block ``read:`` of a detector says to the reader ``columns``, checked."""

from collections.abc import Mapping as AnyMapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from tpcfm.config.base import Block
from tpcfm.config.text import explain
from tpcfm.detectors.model import UNITS_CM, Detector
from tpcfm.errors import ConfigError

ENERGIES = {"eV": 1, "keV": 10**3, "MeV": 10**6, "GeV": 10**9, "TeV": 10**12}
LENGTHS = {name: round(cm * 10**4) for name, cm in UNITS_CM.items()}
"""Micrometres per unit: whole numbers, so that a conversion rounds once."""

Factor = tuple[float, float]
"""Numerator and denominator of a conversion."""


class Companion(Block):
    """A second file with further columns of the same rows, found by its name."""

    replace: str = Field(min_length=1, description="part of the file's name")
    by: str = Field(description="what stands there in the name of the companion")


class ObjectRows(Block):
    """Where the rows of a table of objects lie, if not as lists beside the points."""

    table: str = Field(description="group or tree of the same file")
    event: str | None = Field(None, description="its event column; default: that of the points")


class Mapping(Block):
    """Where the columns of the event table come from."""

    event: str | list[str] | None = Field(
        None,
        description="column (or columns together) whose value tells the events apart; rows of one event need not be neighbours",
    )
    columns: dict[str, str] = Field(default_factory=dict, description="name in the event table: name in the file")
    unit: str | None = Field(None, description="of the coordinates in the file; default: the detector's")
    units: dict[str, str | float] = Field(
        default_factory=dict, description="of single columns: a unit of length or energy, or a factor"
    )
    constants: dict[str, float] = Field(
        default_factory=dict, description="one value for all points, in place of a column"
    )
    table: str | None = Field(
        None, description="HDF5 group or dataset, ROOT tree, array of an npz; default: the only one"
    )
    layout: Literal["rows", "lists"] | None = Field(
        None, description="one row per point, or one row per event with lists; default: as the x column is"
    )
    sizes: str | None = Field(
        None, description="array with the points of each event, where the points lie one after another"
    )
    offsets: str | None = Field(None, description="array with the first point of each event (and the end)")
    values: dict[str, dict[int | str, int]] = Field(
        default_factory=dict, description="per label: value in the file: value in the table; `other` is every other one"
    )
    renumber: bool = Field(False, description="number the objects of each event anew, also where their ids would fit")
    companions: list[Companion] = Field(default_factory=list)
    objects: dict[str, ObjectRows] = Field(default_factory=dict)

    @field_validator("values", mode="before")
    @classmethod
    def _switches(cls, value: Any) -> Any:
        if not isinstance(value, AnyMapping):
            return value
        return {
            k: {int(a) if isinstance(a, bool) else a: b for a, b in v.items()} if isinstance(v, AnyMapping) else v
            for k, v in value.items()
        }

    @property
    def keys(self) -> list[str]:
        """Event columns."""
        return [self.event] if isinstance(self.event, str) else list(self.event or [])

    def column(self, name: str) -> str:
        """Return the name in the file of a column of the event table."""
        return self.columns.get(name, name)


def mapping_of(detector: Detector) -> Mapping:
    """Return the mapping of a detector.

    Raises:
        ConfigError: unknown keys, columns that the detector does not have, units that do not fit.
    """
    try:
        mapping = Mapping.model_validate(detector.read.options)
    except ValidationError as error:
        raise ConfigError(f"detector {detector.name}: read:\n{explain(error, Mapping)}") from error
    plain = [*"xyz", *(signal.name for signal in detector.signal)]
    allowed = {
        "columns": [*plain, *detector.labels, *detector.object_columns],
        "units": plain,
        "constants": plain,
        "values": list(detector.labels),
        "objects": list(detector.objects),
    }
    for key, names in allowed.items():
        for name in getattr(mapping, key):
            if name not in names:
                raise ConfigError(
                    f"detector {detector.name}: read.{key}.{name}: no such column of the detector; there are {', '.join(names) or 'none'}"
                )
    if sum(map(bool, (mapping.keys, mapping.sizes, mapping.offsets))) > 1:
        raise ConfigError(f"detector {detector.name}: read: give one of event, sizes and offsets")
    for name in plain:
        conversion(detector, mapping, name)
    return mapping


def conversion(detector: Detector, mapping: Mapping, name: str) -> Factor:
    """Return the factor from the file's unit of a column to the detector's, as numerator and denominator.

    Raises:
        ConfigError: a unit that is not known, or of another kind.
    """
    signals = {signal.name: signal.unit for signal in detector.signal}
    own = signals.get(name, detector.coordinates.unit)
    given = mapping.units.get(name, own if name in signals else mapping.unit or own)
    if isinstance(given, float | int):
        return (float(given), 1.0)
    if given == own:
        return (1.0, 1.0)
    if name not in signals and own == "voxel" and given in LENGTHS:
        if detector.coordinates.voxel_cm is None:
            raise ConfigError(f"detector {detector.name}: coordinates.voxel_cm: needed to convert {given} to voxels")
        return (float(LENGTHS[given]), detector.coordinates.voxel_cm * LENGTHS["cm"])
    for known in (LENGTHS, ENERGIES):
        if given in known and own in known:
            return (float(known[given]), float(known[own]))
    key = f"read.units.{name}" if name in mapping.units else "read.unit"
    raise ConfigError(
        f"detector {detector.name}: {key}: {given!r} cannot be converted to {own!r}; known are {', '.join([*LENGTHS, *ENERGIES])},"
        " and a number is a factor"
    )
