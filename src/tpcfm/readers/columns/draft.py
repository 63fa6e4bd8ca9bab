"""A detector file drafted from a data file: a commented YAML that loads and reads that file unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.readers.checks import repeated_voxels
from tpcfm.readers.columns.formats import open_source
from tpcfm.readers.columns.guess import (
    SPECIES,
    LabelGuess,
    background_values,
    coordinate_columns,
    event_columns,
    is_cylinder,
    label_guess,
    signal_column,
    spacing,
    unit_of,
)
from tpcfm.readers.columns.reader import ColumnsReader
from tpcfm.readers.columns.source import text
from tpcfm.readers.columns.survey import SAMPLE, Seen, survey, tables_of
from tpcfm.readers.ragged import Array, Ragged

SIDES = (32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192, 16384, 32767)
EVENTS = 40
"""Events whose nearest neighbours are looked at."""


def draft_detector(paths: Sequence[Path], name: str) -> str:
    """Return the text of a detector file for some data files of one kind.

    Args:
        paths: files in a format that the reader ``columns`` knows.
        name: of the detector.

    Raises:
        DataError: unreadable files, or no three columns that could be coordinates.
    """
    form, seen, table, place = _best_table(paths)
    return _Draft(paths, name, form, seen, table, place).write()


def _best_table(paths: Sequence[Path]) -> tuple[str, dict[str, Seen], str | None, tuple[str, str, str]]:
    """Return format, columns and coordinates of the table with the most points."""
    found, columns = [], []
    for table in tables_of(paths[0]):
        form, seen = survey(paths, table)
        columns += list(seen)
        numbers = [name for name, one in seen.items() if one.column.kind in "fiu"]
        if place := coordinate_columns(numbers):
            found.append((seen[place[0]].rows, form, seen, table, place))
    if not found:
        raise DataError(
            f"{paths[0]}: no three columns that differ only in x, y, z; there are {', '.join(columns) or 'none'}; name three"
            " of them in read.columns of a detector file"
        )
    return max(found, key=lambda item: item[0])[1:]


class _Draft:
    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        form: str,
        seen: Mapping[str, Seen],
        table: str | None,
        place: tuple[str, str, str],
    ) -> None:
        self.paths, self.name, self.form, self.table, self.place = paths, name, form, table, place
        self.seen = dict(seen)
        axes = [seen[column] for column in place]
        self.beside = {n: one for n, one in seen.items() if n not in place and one.lists == axes[0].lists}
        self.points = {n: one for n, one in self.beside.items() if one.rows == axes[0].rows}
        self.read: dict[str, object] = {"reader": "columns"}
        if table:
            self.read["table"] = table
        self._events()
        self.samples = self._sample()
        joined = np.concatenate(self.samples)
        reach = float(np.abs([[one.low, one.high] for one in axes]).max())
        whole = all(one.whole for one in axes) and reach < 32768 and not self._doubled()
        self.unit, self.why = unit_of(place[0], reach, whole)
        self.lattice = self.unit == "voxel"
        self.cylinder = not self.lattice and is_cylinder(joined[:, 0], joined[:, 1])
        self.pitch = 1.0 if self.lattice else float(f"{spacing(self.samples[:EVENTS]):.2g}")
        names = ("x", "y", "z")
        self.columns = {n: column for n, column in zip(names, place) if n != column}
        self.signal = signal_column(self.points)
        self.signal_name = "energy" if self.signal and self.signal.lower() in ("e", "de", "edep") else ""
        if self.signal:
            self.signal_name = self.signal_name or label_guess(self.signal, self.seen[self.signal]).name
            if self.signal_name != self.signal:
                self.columns[self.signal_name] = self.signal

    def _events(self) -> None:
        """Find what tells the events apart: nothing for lists, else a column, or an array of sizes."""
        if self.seen[self.place[0]].lists:
            return
        rows = self.seen[self.place[0]].rows
        keys = event_columns(self.points)
        if keys:
            self.read["event"] = keys[0] if len(keys) == 1 else keys
            return
        for name, one in self.seen.items():
            if one.rows == rows or not one.whole or one.lists or not one.sample or len(self.paths) > 1:
                continue
            values = np.concatenate(one.sample)
            if int(values.sum()) == rows:
                self.read["sizes"] = name
            elif values[0] == 0 and (np.diff(values.astype(np.int64)) >= 0).all():
                self.read["offsets"] = name

    def _sample(self) -> list[Array]:
        """Return the points (N, 3) of the first events, and look at the radii of all."""
        wide = {"shape": "box", **dict.fromkeys("xyz", (-1e30, 1e30))}
        read = {**self.read, "columns": dict(zip("xyz", self.place))}
        plain = {"name": "draft", "coordinates": {"type": "float64"}, "volume": wide, "pitch": 1.0, "read": read}
        found: list[Array] = []
        self.radii = [np.inf, 0.0]
        for path in self.paths:
            with ColumnsReader(path, Detector.model_validate(plain)) as reader:
                for block in reader.blocks():
                    place = [block.good().columns[axis] for axis in "xyz"]
                    x, y, z = (one for one in place if one is not None)
                    if not len(x.values):
                        continue
                    radius = np.hypot(x.values, y.values)
                    self.radii = [min(self.radii[0], radius.min()), max(self.radii[1], radius.max())]
                    if sum(map(len, found)) < SAMPLE:
                        table = np.stack([x.values, y.values, z.values], axis=1)
                        found += [table[start:stop] for start, stop in zip(x.offsets[:-1], x.offsets[1:])]
        if not found:
            raise DataError(f"{self.paths[0]}: no event with finite coordinates")
        return found

    def _doubled(self) -> bool:
        """Whether a voxel occurs twice in an event, so that whole coordinates are no lattice."""
        offsets = np.cumsum([0, *map(len, self.samples)])
        joined = np.concatenate(self.samples)
        return bool(repeated_voxels([Ragged(offsets, joined[:, i].astype(np.int64)) for i in range(3)]).any())

    def write(self) -> str:
        """Return the YAML."""
        labels, skipped = self._labels()
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        lines = [
            f"# Drafted from {self.paths[0].name}{more} ({self.form}); every guess is marked. Check it: tpcfm detector check THIS.yaml FILE...",
            f"name: {self.name}",
            f"title: {self.name}",
            "coordinates:",
            f"  unit: {self.unit} # {self.why}",
        ]
        if self.lattice:
            highest = max(self.seen[column].high for column in self.place)
            lines += [
                "  # voxel_cm: 0.3 # edge of a voxel in cm, if known",
                f"  type: {'int16' if highest < 32767 else 'int32'}",
            ]
        lines += [
            "volume: # events with points outside are rejected; found ranges with a margin",
            *self._volume(),
            f"pitch: {self.pitch:g} # {'edge of a voxel' if self.lattice else 'median distance of nearest neighbours'}; tokens scale with it",
            "# layers: {radii: [...]} # of a detector with layers at fixed radii",
            *self._signal(),
            *labels,
            "read:",
        ]
        lines += [f"  {key}: {_flow(value)}" for key, value in self.read.items()]
        if self.columns:
            lines.append("  columns: # name here: name in the file")
            lines += [f"    {key}: {_flow(value)}" for key, value in self.columns.items()]
        lines += [f"  # unit: {'mm' if self.unit == 'voxel' else self.unit} # of the file, if another than above"]
        lines += self._values
        lines += [
            "# Columns that are not taken:" if skipped else "# All columns are taken.",
            *(f"#   {line}" for line in skipped),
        ]
        return "\n".join(lines) + "\n"

    def _volume(self) -> Iterator[str]:
        low = [self.seen[column].low for column in self.place]
        high = [self.seen[column].high for column in self.place]
        if self.lattice:
            yield "  shape: box"
            for axis, first, last in zip("xyz", low, high):
                start = 0 if first >= 0 else -next((side for side in SIDES if side >= -first), 2**31 - 1)
                side = next((side for side in SIDES if side > last), int(last) + 1)
                yield f"  {axis}: [{start}, {side}] # found {first:g} to {last:g}"
            return
        margin = [max(0.05 * (b - a), self.pitch) for a, b in zip(low, high)]
        if not self.cylinder:
            yield "  shape: box"
            for axis, a, b, m in zip("xyz", low, high, margin):
                yield f"  {axis}: [{_round(a - m, False)}, {_round(b + m, True)}] # found {a:.4g} to {b:.4g}"
            return
        inner, outer = self.radii
        inner, outer = max(0.0, inner - 0.05 * outer), 1.05 * outer
        yield "  shape: cylinder # points lie alike in all directions around the z axis"
        yield f"  r: [{_round(inner, False)}, {_round(outer, True)}] # found {self.radii[0]:.4g} to {self.radii[1]:.4g}"
        yield f"  z: [{_round(low[2] - margin[2], False)}, {_round(high[2] + margin[2], True)}] # found {low[2]:.4g} to {high[2]:.4g}"

    def _signal(self) -> Iterator[str]:
        if self.signal is None:
            yield "signal: [] # none found; networks see 0"
            return
        one = self.seen[self.signal]
        units = [unit for unit in ("keV", "MeV", "GeV", "ADC") if unit.lower() in self.signal.lower()]
        yield "signal:"
        yield f"  - name: {self.signal_name} # found {one.low:.4g} to {one.high:.4g}"
        yield f"    unit: {_flow(units[0] if units else '1')}"
        yield f"    range: [{'0' if one.low >= 0 else 'null'}, null]"
        yield "    # threshold: 0.0 # tokenizers drop points at or below it"
        yield "    # scaling: {kind: log, offset: 1.0, maximum: 1000.0} # default: mean and spread of the training events"

    def _labels(self) -> tuple[list[str], list[str]]:
        """Return the lines of the labels, and what is said of the columns that are none."""
        keys = self.read.get("event", [])
        used = {
            *self.place,
            self.signal,
            *([keys] if isinstance(keys, str) else keys),
            self.read.get("sizes"),
            self.read.get("offsets"),
        }  # type: ignore[misc]
        taken, lines, skipped = {"event_id", "split", "n_points", *"xyz", self.signal_name}, list[str](), list[str]()
        self._values: list[str] = []
        for column, one in self.seen.items():
            if column in used:
                continue
            if column not in self.points or not one.labels or not one.sample:
                skipped.append(
                    f"{column}: "
                    + (
                        "numbers; if it is a signal, add it to `signal:`"
                        if column in self.points
                        else "another number of rows"
                    )
                )
                continue
            guess = label_guess(column, one)
            if not guess.kind or guess.name in taken:
                skipped.append(f"{column}: {guess.why or 'its name is taken'}")
                continue
            taken.add(guess.name)
            if guess.name != column:
                self.columns[guess.name] = column
            lines += self._instances(guess, one) if guess.kind == "instances" else self._classes(guess, one)
        with open_source(self.paths[0], self.table) as source:
            skipped += [why.removeprefix(f"{self.paths[0]}: ") for why in source.unreadable.values()]
        head = (
            ["labels: # guessed from names and values; remove what is no truth"]
            if lines
            else ["labels: {} # none found"]
        )
        return head + lines, skipped

    def _instances(self, guess: LabelGuess, one: Seen) -> list[str]:
        return [
            f"  {guess.name}:",
            "    kind: instances",
            f"    background: {background_values(one)} # values of points that belong to no object",
        ]

    def _classes(self, guess: LabelGuess, one: Seen) -> list[str]:
        values = sorted(one.distinct or ())
        lines = [f"  {guess.name}:", "    kind: classes", "    classes:"]
        if one.column.kind == "U":
            return lines + [
                f"      {i}: {_flow(str(value))}" for i, value in enumerate(map(str, text(np.array(values, object))))
            ]
        codes = [int(value) for value in values]
        if "pdg" not in guess.name and max(codes) - min(codes) < 1000:
            if min(codes) < -128 or max(codes) > 127:
                lines.insert(2, "    type: int16")
            return lines + [f"      {code}: {_flow(f'{guess.name} {code}')}" for code in codes]
        species = sorted({abs(code) for code in codes} & set(SPECIES)) or sorted({abs(code) for code in codes})[:100]
        self._values += ["  values: # of the file: of the table"] if not self._values else []
        pairs = [f"{code}: {species.index(abs(code)) + 1}" for code in codes if abs(code) in species]
        self._values.append(f"    {guess.name}: {{{', '.join([*pairs, 'other: 0'])}}}")
        named = [f"      {i + 1}: {_flow(SPECIES.get(code, f'code {code}'))}" for i, code in enumerate(species)]
        return [*lines, "      0: other", *named]


def _flow(value: object) -> str:
    """Return a value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def _round(value: float, up: bool) -> str:
    """Round outwards to three digits."""
    if value == 0:
        return "0"
    step = 10.0 ** (np.floor(np.log10(abs(value))) - 2)
    return f"{(np.ceil if up else np.floor)(value / step) * step:.10g}"
