"""Schemas of the event tables: one row per event, units and coordinate frames in the field metadata.

Elements of the list columns are never null; a whole list is null where the raw file does not carry that column.
"""

from typing import Literal

import pyarrow as pa

from tpcfm.errors import DataError

Layout = Literal["pilarnet", "tpcpp"]
LAYOUTS: tuple[Layout, ...] = ("pilarnet", "tpcpp")
VERSION = "1"  # version of the event table format


def _field(name: str, kind: pa.DataType, unit: str, frame: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit, "frame": frame})


def _list(name: str, element: pa.DataType, unit: str, frame: str, nullable: bool = False) -> pa.Field:
    return _field(name, pa.list_(pa.field("element", element, nullable=False)), unit, frame, nullable)


_HEAD = [
    _field("event_id", pa.string(), "1", "dataset/file/row"),
    _field("split", pa.string(), "1", "train, validation or test"),
    _field("n_points", pa.int32(), "1", "event"),
]

_LATTICE = "PILArNet-M lattice, 768 voxels of 3 mm per side, origin at a corner"
_PILARNET = [
    *[_list(axis, pa.int16(), "voxel", _LATTICE) for axis in "xyz"],
    _list("energy", pa.float32(), "MeV", "deposited in the voxel"),
    _list("fragment", pa.int32(), "1", "id within the event, -1 low energy"),
    _list("group", pa.int32(), "1", "id within the event, -1 low energy"),
    _list("interaction", pa.int32(), "1", "id within the event, -1 low energy"),
    _list("semantic", pa.int8(), "1", "0 shower, 1 track, 2 Michel, 3 delta, 4 low energy"),
    _list("pid", pa.int8(), "1", "-1 low energy, 0 photon, 1 electron, 2 muon, 3 pion, 4 proton, 5 kaon", True),
    _list("cluster_size", pa.int32(), "1", "points per cluster, in the order of the points"),
    _list("cluster_momentum", pa.float32(), "GeV/c", "per cluster, -1 unknown", True),
    _list("cluster_vertex", pa.float32(), "voxel", "x y z per cluster, as published (v2: a frame of its own)", True),
]

_SPHENIX = "sPHENIX, origin at the detector centre, z along the beam"
_TPCPP = [
    *[_list(axis, pa.float32(), "cm", _SPHENIX) for axis in "xyz"],
    _list("energy", pa.float32(), "ADC", "ionisation, arbitrary units"),
    _list("track", pa.int32(), "1", "id within the event", True),
    _list("pid", pa.int8(), "1", "0 other, 1 pion, 2 kaon, 3 proton, 4 electron", True),
    _list("noise", pa.int8(), "1", "1 = particle below 60 MeV/c", True),
    _list("particle_track", pa.int32(), "1", "id within the event", True),
    _list("particle_pdg", pa.int32(), "1", "PDG code", True),
    *[_list(f"particle_p{axis}", pa.float32(), "GeV/c", _SPHENIX, True) for axis in "xyz"],
    *[_list(f"particle_v{axis}", pa.float32(), "cm", _SPHENIX, True) for axis in "xyz"],
    _list("particle_charge", pa.int8(), "e", "particle", True),
]

SCHEMAS: dict[str, pa.Schema] = {"pilarnet": pa.schema(_HEAD + _PILARNET), "tpcpp": pa.schema(_HEAD + _TPCPP)}

REJECTED = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


def event_schema(layout: str, dataset: str, source: str, revision: str) -> pa.Schema:
    """Return the schema of one part: the layout's columns, with where the part comes from in the metadata.

    Args:
        layout: ``pilarnet`` or ``tpcpp``.
        dataset: name of the data source.
        source: name (not path) of the raw file.
        revision: layout revision found in the raw file, e.g. ``v2`` or ``labelled``.
    """
    about = {"layout": layout, "version": VERSION, "dataset": dataset, "source": source, "revision": revision}
    return SCHEMAS[layout].with_metadata({f"tpcfm.{key}": value for key, value in about.items()})


def layout_of(schema: pa.Schema, path: object) -> str:
    """Return the layout of an event table from its schema metadata.

    Raises:
        DataError: the table was not written by ``tpcfm ingest``, or its columns are not those of the layout.
    """
    layout = (schema.metadata or {}).get(b"tpcfm.layout", b"").decode()
    if layout not in SCHEMAS:
        raise DataError(f"{path}: not an event table (layout {layout or 'missing'!r}; allowed: {', '.join(LAYOUTS)})")
    expected = SCHEMAS[layout]
    for field in expected:
        place = schema.get_field_index(field.name)
        if place < 0:
            raise DataError(f"{path}: {layout} event table lacks the column {field.name!r}")
        if schema.field(place).type != field.type:
            raise DataError(f"{path}: column {field.name!r} is {schema.field(place).type}, expected {field.type}")
    return layout
