"""Both caches hold events of any detector: boxes and cylinders, lattice or not, with or without signal, layers, labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from event_tables import PILARNET, SPHENIX, full, write_table
from tpcfm.detectors.model import AffineScaling, Detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.events.schema import detector_in
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups.batches import collate_groups, collate_sequences
from tpcfm.prepare.groups.cache import group_statistics
from tpcfm.prepare.groups.cache import write_part as write_groups
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer import cut, tokenize
from tpcfm.prepare.sequences.cache import fit_edges
from tpcfm.prepare.sequences.cache import write_part as write_sequences
from tpcfm.prepare.sequences.coherence import sequence_statistics
from tpcfm.prepare.sequences.features import comparison_features, level_index, network_coordinates
from tpcfm.prepare.sequences.next_neighbours import next_neighbours
from tpcfm.prepare.sequences.serialization import BoxEdges, box_rank
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.signal_scaling import fit_scaling
from tpcfm.prepare.store import PreparedStore

BARE = Detector.model_validate(
    {
        "name": "bare",
        "coordinates": {"unit": "m", "type": "float64"},
        "volume": {"shape": "box", "x": [-1, 1], "y": [0, 2], "z": [2, 7]},
        "pitch": 0.05,
    }
)
CHAMBER: dict[str, Any] = {
    "name": "chamber",
    "coordinates": {"unit": "mm"},
    "volume": {"shape": "cylinder", "r": [850, 2500], "z": [-2500, 2500]},
    "pitch": 10.0,
    "signal": [{"name": "charge", "unit": "ADC"}, {"name": "time", "unit": "us", "range": [None, None]}],
    "labels": {
        "particle": {"kind": "instances", "type": "int64", "background": [0]},
        "species": {"kind": "classes", "classes": {"2": "pion", "7": "proton", "9": "halo"}, "removed": [9]},
        "quality": {"kind": "classes", "classes": ["bad", "fair", "good"], "ignored": [0]},
    },
    "objects": {"vertex": {"columns": {"z": {"unit": "mm"}, "id": {"type": "int64"}}}},
}
CYLINDER = Detector.model_validate(CHAMBER)
COUNTS = Detector.model_validate(
    {
        "name": "counts",
        "coordinates": {"unit": "voxel", "voxel_cm": 0.4, "type": "int16"},
        "volume": {"shape": "box", "x": [0, 512], "y": [0, 256], "z": [0, 1024]},
        "pitch": 1.0,
        "signal": [{"name": "adc", "unit": "counts", "threshold": 4.0}],
        "labels": {"part": {"kind": "instances"}},
    }
)
DETECTORS = {one.name: one for one in (BARE, CYLINDER, COUNTS)}
RADIUS, TOKENS = 5.0, TokenizerConfig(max_points=8)
ORDER, TARGETS = SerializationConfig(bins=(4, 4, 6)), TargetConfig(k=4)


def make_event(detector: Detector, number: int, n: int = 300) -> dict[str, Any]:
    rng = np.random.default_rng([number, len(detector.name)])
    walk = np.cumsum(rng.normal(0, 1.2, (n, 3)), axis=0)
    if detector is CYLINDER:
        radius, phi = rng.uniform(860, 2490, n), rng.uniform(-np.pi, np.pi, n)
        xyz = np.stack([radius * np.cos(phi), radius * np.sin(phi), rng.uniform(-2000, 2000, n)], 1)
    else:
        low, high = detector.volume.low, detector.volume.high
        xyz = low + (high - low) / 2 + walk * detector.pitch
        xyz = np.clip(np.rint(xyz) if detector.lattice else xyz, low, high - detector.pitch)
    event = {"event_id": f"{detector.name}/a/{number}", "split": ("train", "train", "test")[number % 3]}
    event |= dict(zip("xyz", xyz.T))
    if detector is CYLINDER:
        event |= {"charge": rng.gamma(2, 50, n), "time": rng.normal(size=n), "particle": 2**40 + rng.integers(-1, 4, n)}
        event |= {"species": rng.choice([2, 7, 9], n), "quality": rng.integers(0, 3, n)}
        event |= {"vertex_z": rng.normal(size=3), "vertex_id": np.arange(3)}
        event["particle"][rng.random(n) < 0.1] = 0
    if detector is COUNTS:
        event["adc"] = rng.integers(1, 300, n)
    return full(detector, event)


def build(folder: Path, detector: Detector, events: list[dict[str, Any]]) -> tuple[PreparedStore, PreparedStore]:
    """Write two tables, and a groups and a sequences cache of them."""
    tables = [folder / f"{part}.parquet" for part in "ab"]
    for at, table in enumerate(tables):
        write_table(table, detector, events[at::2])
        write_groups(table, folder / "groups" / f"{table.stem}.arrow", TOKENS)
    fit_edges(tables, folder / "sequences" / "edges.json", ORDER)
    for table in tables:
        part = folder / "sequences" / f"{table.stem}.arrow"
        write_sequences(table, folder / "sequences" / "edges.json", part, ORDER, TARGETS)
    statistics = {"groups": group_statistics, "sequences": sequence_statistics}
    for kind in statistics:
        write_manifest(folder / kind, name=kind, statistics=statistics)
    return PreparedStore(folder / "groups"), PreparedStore(folder / "sequences")


@pytest.fixture(scope="module", params=DETECTORS)
def made(request, tmp_path_factory):
    detector = DETECTORS[request.param]
    events = [make_event(detector, number) for number in range(9)]
    return detector, events, *build(tmp_path_factory.mktemp(detector.name), detector, events)


def test_both_caches_carry_every_column_of_the_points_they_keep(made):
    detector, events, groups, sequences = made
    by_id = {event["event_id"]: event for event in events}
    per_point = ["x", "y", "z", *(signal.name for signal in detector.signal), *detector.labels]
    for store in (groups, sequences):
        assert len(store) == len(events)
        for row in range(len(store)):
            found = store[row]
            event = by_id[found["event_id"]]
            rows = found["row"]
            assert len(set(rows.tolist())) == len(rows) == found["n_points"]
            for name in per_point:
                if event[name] is None:
                    assert found[name] is None
                else:
                    np.testing.assert_array_equal(found[name], event[name][rows].astype(found[name].dtype))
            for name in detector.object_columns:
                np.testing.assert_array_equal(found[name], event[name])
    assert groups[0]["x"].dtype == detector.coordinates.type
    assert sequences[0]["x"].dtype == np.float32


def test_points_of_removed_classes_and_below_the_threshold_are_left_out(made):
    detector, events, groups, sequences = made
    by_id = {event["event_id"]: event for event in events}
    for store in (groups, sequences):
        for row in range(len(store)):
            event = by_id[store[row]["event_id"]]
            keep = np.ones(len(event["x"]), bool)
            if detector is CYLINDER:
                keep &= event["species"] != 9
            if detector is COUNTS and store is groups:
                keep &= event["adc"] > 4
            assert set(store[row]["row"].tolist()) == set(np.flatnonzero(keep).tolist())


def test_groups_are_those_of_the_points_in_units_of_the_pitch(made):
    detector, _, groups, _ = made
    assert groups.manifest["statistics"]["tokens"] > 0
    for row in range(len(groups)):
        found = groups[row]
        xyz = np.stack([found[axis] for axis in "xyz"], 1)
        fresh = group(xyz, TOKENS, pitch=detector.pitch)
        np.testing.assert_array_equal(found["member"], fresh.member)
        centre = xyz[found["centre"]].astype(np.float64)
        distance = np.linalg.norm(xyz[found["member"]] - centre.repeat(np.diff(found["group_offset"]), 0), axis=1)
        assert (distance < RADIUS * detector.pitch).all()


def test_automatic_scaling_is_that_of_the_training_events(made):
    detector, _, groups, sequences = made
    main = detector.main_signal
    for store in (groups, sequences):
        part = pa.ipc.open_file(pa.memory_map(str(store.folder / "a.arrow"))).schema
        assert detector_in(part.metadata, "").name == detector.name
        if main is None:
            assert store.detector.signal_scaling() is None
            continue
        rows = store.rows("train")
        trained = np.concatenate([store.value(int(row), main.name) for row in rows]).astype(np.float64)
        found = store.detector.signal_scaling()
        assert (found.offset, found.width) == pytest.approx((trained.mean(), trained.std()), rel=1e-6)
        assert detector.signal_scaling() == "auto"


def test_features_are_the_scaled_signal_and_the_network_coordinates(made):
    detector, _, _, sequences = made
    batch = collate_sequences(sequences, range(3))
    features = batch["features"]
    np.testing.assert_allclose(features[:, 1:], network_coordinates(detector, batch["xyz"]), atol=1e-5)
    assert (features[:, 1:] >= -1e-6).all()
    assert (features[:, 1:] <= 1 + 1e-6).all()
    if detector.main_signal is None:
        assert (features[:, 0] == 0).all()
    else:
        assert abs(features[:, 0].mean()) < 0.2
        assert features[:, 0].std() == pytest.approx(1, abs=0.2)
    alone = collate_sequences(sequences, [2])
    levels = level_index(alone["features"][:, 3], detector)
    point, slot = np.nonzero(alone["neighbour"] >= 0)
    assert len(point)
    assert (levels[alone["neighbour"][point, slot]] > levels[point]).all()


def test_labels_come_encoded(made):
    detector, _, groups, sequences = made
    for batch in (collate_groups(groups, range(4)), collate_sequences(sequences, range(4))):
        assert set(detector.labels) & set(batch) == (set(detector.labels) if detector is CYLINDER else set())
        if detector is not CYLINDER:
            continue
        assert set(np.unique(batch["species"])) == {0, 1}  # pion, proton; 9 is removed
        assert set(np.unique(batch["quality"])) == {-1, 0, 1}
        assert batch["particle"].min() == -1
        assert batch["particle"].max() > 2**40
    signal = collate_groups(groups, range(4))["signal"]
    assert signal.dtype == np.float32
    assert (signal == 0).all() == (detector.main_signal is None)


def test_boxes_along_the_third_axis_divide_the_points_equally_between_steps(made):
    detector, _, _, sequences = made
    edges = BoxEdges.from_dict(sequences.manifest["edges"])
    assert tuple(edges.axes) == detector.axes
    assert edges.signal == sequences.detector.signal_scaling()
    features = np.concatenate([sequences[int(row)]["features"].reshape(-1, 4) for row in sequences.rows("train")])
    boxes = box_rank(features, edges) // 16
    share = np.bincount(boxes, minlength=6) / len(boxes)
    assert (np.abs(share - 1 / 6) < 0.08).all()
    for level in np.unique(level_index(features[:, 3], detector)):  # no step is cut
        assert len(np.unique(boxes[level_index(features[:, 3], detector) == level])) == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), name=st.sampled_from(list(DETECTORS)))
def test_the_order_of_the_points_in_the_table_changes_nothing(seed, name):
    detector = DETECTORS[name]
    event = make_event(detector, 1)
    _, first = np.unique(np.stack([event[axis] for axis in "xyz"], 1), axis=0, return_index=True)
    shuffle = np.random.default_rng(seed).permutation(first)
    plain, other = (
        {
            key: value[rows] if isinstance(value, np.ndarray) and len(value) == 300 else value
            for key, value in event.items()
        }
        for rows in (first, shuffle)
    )
    a, b = cut(plain, detector), cut(other, detector)
    one, two = tokenize(a, TOKENS, detector.pitch), tokenize(b, TOKENS, detector.pitch)
    np.testing.assert_array_equal(a.xyz[one.member], b.xyz[two.member])
    np.testing.assert_array_equal(one.offset, two.offset)


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(-3.1, 3.1), seed=st.integers(0, 1000))
def test_a_rotation_about_the_axis_keeps_the_neighbours_in_a_cylinder(angle, seed):
    event = make_event(CYLINDER, seed, 120)
    x, y, z = (event[axis].astype(np.float64) for axis in "xyz")
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), z], 1)
    places = [network_coordinates(CYLINDER, xyz) for xyz in (np.stack([x, y, z], 1), turned)]
    places[1][:, [0, 2]] = places[0][:, [0, 2]]  # equal but for rounding, which may cross a step
    found = [
        next_neighbours(np.column_stack([np.zeros(120), place]).astype(np.float32), 5, CYLINDER, wrap=True)
        for place in places
    ]
    assert (found[0] == found[1]).mean() > 0.98  # rounding may swap near ties


def test_the_unit_of_length_plays_no_role():
    small = {**CHAMBER, "coordinates": {"unit": "cm"}, "pitch": 1.0}
    small["volume"] = {"shape": "cylinder", "r": [85, 250], "z": [-250, 250]}
    centimetres = Detector.model_validate(small)
    event = make_event(CYLINDER, 3)
    xyz = np.stack([event[axis] for axis in "xyz"], 1).astype(np.float64)
    np.testing.assert_allclose(
        network_coordinates(CYLINDER, xyz), network_coordinates(centimetres, xyz / 10), atol=1e-9
    )
    for detector, points in ((CYLINDER, xyz), (centimetres, xyz / 10)):
        members = group(points, TOKENS, pitch=detector.pitch).member
        np.testing.assert_array_equal(members, group(xyz, TOKENS, pitch=10.0).member)


@pytest.mark.parametrize("detector", [*DETECTORS.values(), PILARNET, SPHENIX], ids=lambda one: one.name)
def test_inputs_of_the_graph_networks_have_five_columns_of_order_one(detector):
    rng = np.random.default_rng(0)
    low, high = detector.volume.low, detector.volume.high
    xyz = rng.uniform(low, high, (2000, 3))
    radius = np.hypot(*xyz.T[:2])
    if detector.cylindrical:
        xyz = xyz[(radius > detector.volume.r[0]) & (radius < detector.volume.r[1])]
    signal = rng.normal(size=len(xyz))
    found = comparison_features(detector, signal, xyz)
    assert found.shape == (len(xyz), 5)
    np.testing.assert_array_equal(found[:, 0], signal.astype(np.float32))
    assert np.abs(found[:, 1:]).max() <= 1.01
    if not detector.cylindrical:
        np.testing.assert_allclose(found[:, 1:4], (xyz - (low + high) / 2) / ((high - low) / 2), atol=1e-5)
        assert (found[:, 4] == 0).all()


@pytest.mark.parametrize(
    "parts", [[[3.0, 5.0], [10.0]], [[1e6, 1e6 + 1], [1e6 + 2] * 5], [[4.0, 4.0]], [[], [2.0]], []]
)
def test_scaling_joins_the_statistics_of_parts(parts):
    arrays = [np.array(part, np.float32) for part in parts]
    values = np.concatenate([np.zeros(0, np.float32), *arrays]).astype(np.float64)
    found = fit_scaling(arrays)
    assert found.offset == pytest.approx(values.mean() if len(values) else 0)
    assert found.width == pytest.approx(values.std() if len(values) and values.std() > 0 else 1)


def test_without_training_events_all_count_and_a_models_scaling_can_be_given(tmp_path):
    events = [make_event(COUNTS, 3 * number + 2) for number in range(2)]
    write_table(tmp_path / "a.parquet", COUNTS, events)
    write_groups(tmp_path / "a.parquet", tmp_path / "a.arrow", TOKENS)
    write_manifest(tmp_path, name="test only")
    adc = np.concatenate([event["adc"][event["adc"] > 4] for event in events])
    assert PreparedStore(tmp_path).detector.signal_scaling().offset == pytest.approx(adc.mean(), rel=1e-6)
    of_model = COUNTS.with_scaling(AffineScaling(kind="affine", offset=7, width=2))
    write_manifest(tmp_path, name="test only", detector=of_model)
    assert PreparedStore(tmp_path).detector == of_model


def test_what_does_not_fit_a_detector_is_named(tmp_path):
    write_table(tmp_path / "box.parquet", BARE, [make_event(BARE, 0)])
    write_table(tmp_path / "other.parquet", COUNTS, [make_event(COUNTS, 0)])
    edges = tmp_path / "edges.json"
    with pytest.raises(DataError, match=r"other\.parquet: events of counts"):
        fit_edges([tmp_path / "box.parquet", tmp_path / "other.parquet"], edges, ORDER)
    with pytest.raises(ConfigError, match="preset: 'released' is not known to the detector bare; allowed: ''"):
        fit_edges([tmp_path / "box.parquet"], edges, SerializationConfig(preset="released"))
    fit_edges([tmp_path / "box.parquet"], edges, ORDER)
    out = tmp_path / "part.arrow"
    with pytest.raises(ConfigError, match="wrap: the detector bare is a box"):
        write_sequences(tmp_path / "box.parquet", edges, out, ORDER, TargetConfig(wrap=True))
    order = SerializationConfig(bins=ORDER.bins, box_order="r_phi_eta")
    with pytest.raises(ConfigError, match="'r_phi_eta' is not a permutation of x, y, z"):
        write_sequences(tmp_path / "box.parquet", edges, out, order, TARGETS)
    with pytest.raises(DataError, match=r"edges\.json: fitted on events of bare"):
        write_sequences(tmp_path / "other.parquet", edges, out, ORDER, TARGETS)
    write_groups(tmp_path / "box.parquet", tmp_path / "both" / "box.arrow", TOKENS)
    write_groups(tmp_path / "other.parquet", tmp_path / "both" / "other.arrow", TOKENS)
    with pytest.raises(DataError, match=r"other\.arrow: events of counts"):
        write_manifest(tmp_path / "both", name="both")
    with pytest.raises(ConfigError, match="reduction: energy needs the energies"):
        write_groups(tmp_path / "box.parquet", out, TokenizerConfig(reduction="energy"))


@pytest.mark.parametrize("name", ["member", "features", "signal", "masked"])
def test_labels_cannot_take_the_names_of_what_else_is_in_a_batch(name):
    with pytest.raises(ValidationError, match="batches use these names"):
        Detector.model_validate({**CHAMBER, "labels": {name: {"kind": "instances"}}})
