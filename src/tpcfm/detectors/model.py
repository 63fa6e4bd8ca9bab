"""A detector as one object: coordinates, volume, signal, labels, and how its files are read. Checked; made from one YAML file."""

from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, field_validator, model_validator

from tpcfm.config.base import Block
from tpcfm.files import short_hash

Range = tuple[float | None, float | None]
"""Lowest and highest value allowed, both included; null leaves a side open."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Integer = Literal["int8", "int16", "int32", "int64"]
Number = Literal["int8", "int16", "int32", "int64", "float32", "float64"]
Floats = npt.NDArray[np.floating[Any]]

RESERVED = ("event_id", "split", "n_points", "x", "y", "z", "row")
BATCH_KEYS = ("offsets", "event_key", "xyz", "signal", "features", "neighbour", "token_offsets", "centre", "member",
    "centre_xyz", "group_offset", "group_size", "n_missed", "n_capped", "n_duplicated", "n_cut",
    "token_centre", "token_points", "token_valid", "masked", "encoder_factors", "decoder_factors", "diffusion_noise",
    "noise_level", "point_xyz", "point_event", "nearest", "nearest_weight", "point_features", "edge_source", "edge_bounds",
    "voxel", "voxel_event", "voxel_features", "point_voxel", "track_inputs", "geometry", "near", "place",
    "edges", "edge_features")  # fmt: skip
"""What caches and batches hold beside the labels, which keep their names there."""
COLOURS = ("#2f6fde", "#e4572e", "#2a9d6f", "#d4a017", "#8e5bd0", "#7b8794", "#c2548a", "#4aa3a2", "#9aa5b1", "#6b4f3a")
UNITS_CM = {"mm": 0.1, "cm": 1.0, "m": 100.0, "um": 1e-4}
"""Centimetres per unit of length."""


def open_range(given: Range) -> tuple[float, float]:
    """Return a range with infinities for open sides."""
    low, high = given
    return (-np.inf if low is None else low, np.inf if high is None else high)


class Coordinates(Block):
    """Position of a point: three columns ``x y z`` of the event table."""

    unit: str = Field("cm", description="unit of the event table: mm, cm, m, um, or voxel")
    voxel_cm: float | None = Field(None, gt=0, description="edge of a voxel in cm, where the unit is voxel")
    type: Number = Field("float32", description="how the event table stores them")
    frame: str = Field("cartesian", description="where origin and axes lie, for people")

    @property
    def cm(self) -> float | None:
        """Centimetres per unit; None if unknown."""
        return self.voxel_cm if self.unit == "voxel" else UNITS_CM.get(self.unit)

    @property
    def whole(self) -> bool:
        """Whether coordinates are whole numbers."""
        return self.type.startswith("int")


class Box(Block):
    """A box along the axes."""

    shape: Literal["box"]
    x: tuple[float, float]
    y: tuple[float, float]
    z: tuple[float, float]
    accepted: dict[Literal["x", "y", "z"], Range] = Field(
        default_factory=dict, description="where a point may lie, if not inside the nominal sides; others are rejected"
    )

    @property
    def low(self) -> npt.NDArray[np.float64]:
        """Lowest corner, (3,)."""
        return np.array([self.x[0], self.y[0], self.z[0]], np.float64)

    @property
    def high(self) -> npt.NDArray[np.float64]:
        """Highest corner, (3,)."""
        return np.array([self.x[1], self.y[1], self.z[1]], np.float64)

    def limits(self) -> dict[str, tuple[float, float]]:
        """Accepted range of each coordinate."""
        return {axis: open_range(self.accepted.get(axis, getattr(self, axis))) for axis in ("x", "y", "z")}  # type: ignore[call-overload]

    @model_validator(mode="after")
    def _sides(self) -> "Box":
        for axis in ("x", "y", "z"):
            low, high = getattr(self, axis)
            if not low < high:
                raise ValueError(f"{axis}: [{low:g}, {high:g}] must rise")
        return self


class Cylinder(Block):
    """A hollow or full cylinder around the z axis, with the origin on the axis."""

    shape: Literal["cylinder"]
    r: tuple[float, float]
    z: tuple[float, float]
    accepted: dict[Literal["r", "z"], Range] = Field(
        default_factory=dict, description="where a point may lie, if not inside the nominal ranges; others are rejected"
    )

    @property
    def low(self) -> npt.NDArray[np.float64]:
        """Lowest corner of the box around it, (3,)."""
        return np.array([-self.r[1], -self.r[1], self.z[0]], np.float64)

    @property
    def high(self) -> npt.NDArray[np.float64]:
        """Highest corner of the box around it, (3,)."""
        return np.array([self.r[1], self.r[1], self.z[1]], np.float64)

    def limits(self) -> dict[str, tuple[float, float]]:
        """Accepted range of the radius and of z."""
        return {axis: open_range(self.accepted.get(axis, getattr(self, axis))) for axis in ("r", "z")}  # type: ignore[call-overload]

    @model_validator(mode="after")
    def _ranges(self) -> "Cylinder":
        if not 0 <= self.r[0] < self.r[1]:
            raise ValueError(f"r: [{self.r[0]:g}, {self.r[1]:g}] must rise from 0 or more")
        if not self.z[0] < self.z[1]:
            raise ValueError(f"z: [{self.z[0]:g}, {self.z[1]:g}] must rise")
        return self


class LogScaling(Block):
    """``2 (log10(s + offset) - log10(offset)) / (log10(maximum + offset) - log10(offset)) - 1`` (arXiv 2502.02558, eq. 1)."""

    kind: Literal["log"]
    offset: float = Field(gt=0, description="added inside the logarithm, unit of the signal; 0 maps to -1")
    maximum: float = Field(gt=0, description="signal that maps to 1; nothing is clipped above")

    def scale(self, signal: npt.ArrayLike) -> Floats:
        """Map signals to about [-1, 1]."""
        low, high = np.log10(self.offset), np.log10(self.maximum + self.offset)
        return 2 * (np.log10(np.asarray(signal) + self.offset) - low) / (high - low) - 1

    def unscale(self, scaled: npt.ArrayLike) -> Floats:
        """Inverse of `scale`."""
        low, high = np.log10(self.offset), np.log10(self.maximum + self.offset)
        return 10 ** ((np.asarray(scaled) + 1) / 2 * (high - low) + low) - self.offset


class AffineScaling(Block):
    """``(s - offset) / width``."""

    kind: Literal["affine"]
    offset: float
    width: float = Field(gt=0)

    def scale(self, signal: npt.ArrayLike) -> Floats:
        """Map signals to about mean 0, spread 1."""
        return (np.asarray(signal, dtype=np.float64) - self.offset) / self.width

    def unscale(self, scaled: npt.ArrayLike) -> Floats:
        """Inverse of `scale`."""
        return np.asarray(scaled, dtype=np.float64) * self.width + self.offset


Scaling = Annotated[LogScaling | AffineScaling, Field(discriminator="kind")]


class Signal(Block):
    """What was measured at a point: deposited energy, charge, counts."""

    name: Name = "energy"
    unit: str = "1"
    description: str = ""
    type: Literal["float32"] = "float32"
    range: Range = Field((0.0, None), description="allowed values; an event with another one is rejected")
    threshold: float | None = Field(None, description="tokenizers drop points at or below it; null drops none")
    scaling: Scaling | Literal["auto"] = Field(
        "auto", description="network input; `auto`: affine with mean and spread of the training events"
    )


class Class(Block):
    """One class of a label."""

    name: str
    colour: str | None = Field(None, pattern=r"^#[0-9a-fA-F]{6}$")


class ClassLabel(Block):
    """A label column that puts every point into one of some classes."""

    kind: Literal["classes"]
    type: Integer = "int8"
    description: str = ""
    classes: dict[int, Class] = Field(min_length=2, description="value in the table: name and colour")
    ignored: list[int] = Field(default_factory=list, description="values that are neither trained nor scored")
    removed: list[int] = Field(
        default_factory=list, description="points of these values are taken out before a network sees the event"
    )
    constant_in: Name | None = Field(None, description="instance label within which the class cannot change")

    @field_validator("classes", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            return {key: {"name": v} if isinstance(v, str) else v for key, v in value.items()}
        return value

    @model_validator(mode="after")
    def _known(self) -> "ClassLabel":
        for key in ("ignored", "removed"):
            unknown = [v for v in getattr(self, key) if v not in self.classes]
            if unknown:
                raise ValueError(f"{key}: {unknown} are not among the classes ({', '.join(map(str, self.classes))})")
        if len(self.values) < 2:
            raise ValueError("fewer than two classes are left after `ignored` and `removed`")
        return self

    @property
    def values(self) -> list[int]:
        """Values that a network predicts, in the order of its outputs."""
        out = {*self.ignored, *self.removed}
        return [value for value in self.classes if value not in out]

    @property
    def names(self) -> list[str]:
        """Names of these classes."""
        return [self.classes[value].name for value in self.values]

    def colours(self) -> dict[int, str]:
        """Colour of every value; grey for an ignored one, unless it has its own."""
        palette = {v: COLOURS[i % len(COLOURS)] for i, v in enumerate(v for v in self.classes if v not in self.ignored)}
        return {v: c.colour or palette.get(v, "#c9c9c9") for v, c in self.classes.items()}

    def encode(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the output number of each value, -1 for ignored, removed and unknown ones."""
        given = np.asarray(values).astype(np.int64)
        low, high = min(self.classes), max(self.classes)
        table = np.full(high - low + 3, -1, np.int64)
        table[np.array(self.values) - low + 1] = np.arange(len(self.values))
        return table[np.clip(given - low + 1, 0, len(table) - 1)]

    def decode(self, numbers: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the value of each output number; -1 stays -1."""
        found = np.asarray(numbers, np.int64)
        return np.where(found < 0, -1, np.array(self.values, np.int64)[np.maximum(found, 0)])


class InstanceLabel(Block):
    """A label column that numbers the objects of an event: tracks, particles, interactions."""

    kind: Literal["instances"]
    type: Integer = "int32"
    description: str = ""
    background: list[int] = Field(default_factory=list, description="values that mark points of no object")
    minimum: int = Field(0, description="smallest allowed number that is not background")

    def encode(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the ids with -1 for background."""
        given = np.array(values, np.int64)
        for value in self.background:
            if value != -1:
                given[np.asarray(values) == value] = -1
        return given


Label = Annotated[ClassLabel | InstanceLabel, Field(discriminator="kind")]


class Column(Block):
    """One column of a table of objects."""

    type: Number = "float32"
    unit: str = "1"
    description: str = ""
    per: int = Field(1, gt=0, description="values per object")
    finite: bool = Field(True, description="an event with values that are not finite is rejected")


class Objects(Block):
    """A table of true objects beside the points, as list columns ``<name>_<column>``: particles, clusters."""

    columns: dict[Name, Column]
    instances: Name | None = Field(None, description="label column whose ids the first column holds")
    counts: Name | None = Field(
        None, description="column that counts the points of each object, where objects follow the order of the points"
    )

    @model_validator(mode="after")
    def _counts_is_a_column(self) -> "Objects":
        if self.counts is not None and self.counts not in self.columns:
            raise ValueError(f"counts: {self.counts!r} is none of the columns ({', '.join(self.columns)})")
        return self


class Layers(Block):
    """Sensitive layers at fixed radii."""

    radii: list[float] = Field(min_length=2, description="ascending, unit of the coordinates")
    regions: list[float] = Field(default_factory=list, description="borders between readout regions")

    @model_validator(mode="after")
    def _ascending(self) -> "Layers":
        if any(b <= a for a, b in zip(self.radii, self.radii[1:])):
            raise ValueError("radii must rise")
        return self


class Read(Block):
    """How raw files become events: the name of a reader, and what it wants to know."""

    model_config = ConfigDict(extra="allow", frozen=True)

    reader: str = "columns"

    @property
    def options(self) -> dict[str, Any]:
        """What stands beside ``reader``."""
        return dict(self.model_extra or {})


class Detector(Block):
    """Everything about a detector that is not a choice of the analysis (``detectors/<name>.yaml``)."""

    name: Name
    title: str = ""
    coordinates: Coordinates = Coordinates()
    volume: Annotated[Box | Cylinder, Field(discriminator="shape")]
    pitch: float = Field(
        gt=0, description="edge of a voxel, or usual distance of neighbouring hits; tokens scale with it"
    )
    layers: Layers | None = None
    field_tesla: float | None = Field(None, description="magnetic field along z; null where there is none")
    signal: list[Signal] = Field(default_factory=list, description="the first is what the networks see")
    labels: dict[Name, Label] = Field(default_factory=dict)
    particle: Name | None = Field(
        None,
        description="instance label whose objects are particles: classes are scored by particle too (default: `constant_in` of the label)",
    )
    objects: dict[Name, Objects] = Field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="(offset, width) of network coordinates of sequences (eta phi r, or x y z); default: from the volume",
    )
    presets: dict[str, dict[str, tuple[float, float]]] = Field(
        default_factory=dict, description="named changes of `ranges`, and of an affine signal scaling under its name"
    )
    read: Read = Read()
    simulation: str | None = Field(None, description="simulation that writes files of this detector")
    release: str | None = Field(None, description="public release of this detector's events")
    published: dict[str, Any] = Field(default_factory=dict, description="aggregates to compare with")

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> "Detector":
        seen = set(RESERVED)
        for name in [*(s.name for s in self.signal), *self.labels, *self.object_columns]:
            if name in seen:
                raise ValueError(f"the column {name!r} is named twice (reserved: {', '.join(RESERVED)})")
            seen.add(name)
        if taken := set(self.labels) & set(BATCH_KEYS) or set(self.object_columns) & set(BATCH_KEYS):
            raise ValueError(f"columns may not be named {', '.join(sorted(taken))}: batches use these names")
        for name, label in self.labels.items():
            within = getattr(label, "constant_in", None)
            if within is not None and not isinstance(self.labels.get(within), InstanceLabel):
                raise ValueError(f"labels.{name}.constant_in: {within!r} is no instance label of this detector")
        if self.particle is not None and not isinstance(self.labels.get(self.particle), InstanceLabel):
            raise ValueError(f"particle: {self.particle!r} is no instance label of this detector")
        return self

    @property
    def cylindrical(self) -> bool:
        """Whether the volume has an axis of symmetry, so that networks see eta, phi, r in place of x, y, z."""
        return isinstance(self.volume, Cylinder)

    @property
    def lattice(self) -> bool:
        """Whether points lie on a lattice of whole numbers."""
        return self.coordinates.whole

    @property
    def main_signal(self) -> Signal | None:
        """The signal that networks see; None for a detector without one."""
        return self.signal[0] if self.signal else None

    def limits(self) -> dict[str, tuple[float, float]]:
        """Accepted range of x, y, z (box) or r, z (cylinder), both ends included; a side of ``n`` voxels ends at ``n - 1``."""
        found = self.volume.limits()
        if self.lattice:
            given: Any = self.volume.accepted
            found = {axis: ends if axis in given else (ends[0], ends[1] - 1) for axis, ends in found.items()}
        return found

    @property
    def object_columns(self) -> dict[str, Column]:
        """Columns of the tables of objects by their name in the event table."""
        return {f"{t}_{c}": column for t, table in self.objects.items() for c, column in table.columns.items()}

    def classes(self) -> dict[str, ClassLabel]:
        """Label columns with classes."""
        return {name: label for name, label in self.labels.items() if isinstance(label, ClassLabel)}

    def particles_of(self, label: str) -> str | None:
        """Return the instance label by whose objects a label with classes is scored too; None if there is none."""
        return self.classes()[label].constant_in or self.particle

    def instances(self) -> dict[str, InstanceLabel]:
        """Label columns with instances."""
        return {name: label for name, label in self.labels.items() if isinstance(label, InstanceLabel)}

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        """Middle of the volume, (3,)."""
        return (self.volume.low + self.volume.high) / 2

    @property
    def half_diagonal(self) -> float:
        """Largest distance of a point of the volume from its centre."""
        half = (self.volume.high - self.volume.low) / 2
        if isinstance(self.volume, Cylinder):
            return float(np.hypot(half[0], half[2]))
        return float(np.sqrt((half**2).sum()))

    def scale_coordinates(self, xyz: npt.ArrayLike) -> Floats:
        """Centre coordinates (..., 3) and scale the farthest place of the volume onto the unit sphere."""
        return (np.asarray(xyz) - self._centre) / self.half_diagonal

    def unscale_coordinates(self, scaled: npt.ArrayLike) -> Floats:
        """Inverse of `scale_coordinates`."""
        return np.asarray(scaled) * self.half_diagonal + self._centre

    @cached_property
    def _centre(self) -> Any:
        centre = self.centre
        return float(centre[0]) if len(set(centre.tolist())) == 1 else centre

    @property
    def axes(self) -> tuple[str, str, str]:
        """Names of the three coordinates that sequences are made of; the last is the one that rises outwards."""
        return ("eta", "phi", "r") if self.cylindrical else ("x", "y", "z")

    def sequence_ranges(self, preset: str = "") -> dict[str, tuple[float, float]]:
        """Return (offset, width) of each network coordinate of `axes`: as given, else from the volume.

        Raises:
            KeyError: no such preset.
        """
        if isinstance(self.volume, Cylinder):
            inner, outer = self.volume.r
            far = max(map(abs, self.volume.z))
            eta = float(np.arcsinh(far / (inner or self.pitch)))
            found = {"eta": (-eta, 2 * eta), "phi": (-np.pi, 2 * np.pi), "r": (inner, outer - inner)}
        else:
            low, high = self.volume.low, self.volume.high
            found = {axis: (float(a), float(b - a)) for axis, a, b in zip("xyz", low, high)}
        changed = self.presets[preset] if preset else {}
        return {axis: changed.get(axis, self.ranges.get(axis, value)) for axis, value in found.items()}

    def signal_scaling(self, preset: str = "") -> LogScaling | AffineScaling | Literal["auto"] | None:
        """Return the scaling of the main signal: the preset's, else its own; None without a signal.

        Raises:
            KeyError: no such preset.
        """
        if self.main_signal is None:
            return None
        found = self.presets[preset].get(self.main_signal.name) if preset else None
        return (
            self.main_signal.scaling if found is None else AffineScaling(kind="affine", offset=found[0], width=found[1])
        )

    def with_scaling(self, scaling: LogScaling | AffineScaling | Literal["auto"] | None) -> "Detector":
        """Return the detector with another scaling of its main signal (None: unchanged), as caches and models hold it."""
        if self.main_signal is None or scaling is None:
            return self
        first = self.main_signal.model_copy(update={"scaling": scaling})
        return self.model_copy(update={"signal": [first, *self.signal[1:]]})

    def scale_signal(self, signal: npt.ArrayLike) -> Floats:
        """Map values of the main signal to the network's input; zeros stay for a detector without one.

        Raises:
            ValueError: its scaling is ``auto``, which only a prepared cache knows.
        """
        if self.main_signal is None:
            return np.zeros_like(np.asarray(signal), dtype=np.float32)
        if self.main_signal.scaling == "auto":
            raise ValueError(
                f"{self.name}: the scaling of {self.main_signal.name} is `auto`; use the detector of a cache"
            )
        return self.main_signal.scaling.scale(signal)

    def unscale_signal(self, scaled: npt.ArrayLike) -> Floats:
        """Inverse of `scale_signal`."""
        if self.main_signal is None or self.main_signal.scaling == "auto":
            return np.asarray(scaled)
        return self.main_signal.scaling.unscale(scaled)

    @property
    def pt_per_radius(self) -> float | None:
        """Transverse momentum in GeV/c per unit of the bending radius; None without a field or a known unit."""
        cm = self.coordinates.cm
        return None if self.field_tesla is None or cm is None else 0.003 * self.field_tesla * cm

    @property
    def hash(self) -> str:
        """Eight hex digits over all that can change a prediction: not the title, colours, descriptions, aggregates, what is scored by particle."""
        plain = self.model_dump(mode="json", exclude_defaults=True, exclude={"title", "published", "particle"})
        return short_hash(_without(plain, {"colour", "description", "frame"}))


def _without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value
