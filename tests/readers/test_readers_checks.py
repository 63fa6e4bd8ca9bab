"""Objects per event, voxels that repeat and instance numbers, against plain NumPy; readers that are not there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.readers.checks import pair_numbers, repeated_voxels
from tpcfm.readers.columns.convert import ranks
from tpcfm.readers.columns.source import join_flat
from tpcfm.readers.kernels import object_sizes
from tpcfm.readers.ragged import Ragged, offsets_of
from tpcfm.readers.registry import open_raw, reader_of

EVENTS = st.lists(
    st.lists(st.one_of(st.integers(-2, 9), st.integers(-(2**62), 2**62)), max_size=12), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(events=EVENTS, background=st.lists(st.integers(-2, 3), max_size=2, unique=True))
def test_objects_and_their_points(events, background):
    ids = np.array([i for event in events for i in event], np.int64)
    if not len(ids):
        return
    offsets = offsets_of([len(event) for event in events])
    sizes, per_event = object_sizes(ids, offsets, np.array(background, np.int64), int(ids.min()), int(ids.max()))
    expected = [sorted(i for i in set(event) if i not in background) for event in events]
    assert per_event.tolist() == [len(found) for found in expected]
    assert sizes.tolist() == [event.count(i) for event, found in zip(events, expected, strict=True) for i in found]
    owners = np.repeat(np.arange(len(events)), np.diff(offsets))
    assert ranks(ids, owners, len(events)).tolist() == [sorted(set(e)).index(i) for e in events for i in e]
    number, count = pair_numbers(Ragged(offsets, ids))
    pairs = list(zip(owners.tolist(), ids.tolist(), strict=True))
    assert number.max() < count
    assert len(set(number.tolist())) == len(set(pairs)) == len(set(zip(number.tolist(), pairs, strict=True)))


@settings(max_examples=100, deadline=None)
@given(
    events=st.lists(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=10), min_size=1, max_size=4),
    step=st.sampled_from([1, 2**31, 2**40]),
)
def test_repeated_voxels(events, step):
    xyz = np.array([voxel for event in events for voxel in event], np.int64).reshape(-1, 3) * step
    offsets = offsets_of([len(event) for event in events])
    expected = [voxel in event[:i] for event in events for i, voxel in enumerate(event)]
    assert repeated_voxels([Ragged(offsets, xyz[:, axis]) for axis in range(3)]).tolist() == expected


def test_joining_keeps_whole_numbers_exact():
    big, small = np.array([2**64 - 1], np.uint64), np.array([7], np.int64)
    assert join_flat([big, small]).tolist() == [2**64 - 1, 7]
    assert join_flat([np.array([3], np.uint8), -small]).tolist() == [3, -7]
    assert join_flat([big, -small]).tolist() == [str(2**64 - 1), "-7"]
    assert join_flat([small, np.array(["a"], object)]).tolist() == ["7", "a"]


def test_readers_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="'lcio': unknown; there are pilarnet, tpcpp, columns"):
        reader_of("lcio")
    with pytest.raises(DataError, match="no such file"):
        open_raw(tmp_path / "a.h5", load_detector("pilarnet"))
    values = load_detector("pilarnet").model_dump(mode="json", exclude_defaults=True)
    values["signal"] = [{"name": "a"}, {"name": "b"}]
    (tmp_path / "a.h5").write_text("")
    with pytest.raises(DataError, match="has the signals a, b; PILArNet-M holds one per point"):
        open_raw(tmp_path / "a.h5", Detector.model_validate(values))
