"""Files with flipped bytes: an error that names the file, or a rejected event, or a table that holds; never anything else."""

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import DataError
from tpcfm.events.job import ingest_file
from tpcfm.events.read import open_table
from tpcfm.events.validate import validate_file
from tpcfm.readers.registry import open_raw


def flips(good: bytes, seed: int, count: int):
    """Copies of a file with one to three bytes changed; half of them within the first 4 KiB."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        damaged = bytearray(good)
        for place in rng.integers(0, len(good) if i % 2 else min(len(good), 4096), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        yield bytes(damaged)


def ingest(path, detector, folder):
    """The event table and the rejected rows, or None if the file was refused with its name and nothing was left."""
    out, rejected = folder / "p.parquet", folder / "p.rejected.parquet"
    refusal = None
    try:
        ingest_file(path, detector, "set", out, rejected, lambda _: "train")
    except DataError as error:
        refusal = str(error)
    if refusal is not None:
        assert path.name in refusal or "track_ids.npz" in refusal
        assert not folder.exists() or list(folder.iterdir()) == []
        return None
    found = pq.read_table(out), pq.read_table(rejected)["row"].to_pylist()
    assert list(validate_file(out)) == []
    out.unlink()
    rejected.unlink()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_damaged_hdf5(tmp_path, seed):
    """HDF5 has no checksum over the data: what comes through must hold all rules, and every event is accounted for."""
    rng = np.random.default_rng(seed)
    path = write_pilarnet(tmp_path / "a.h5", [lartpc_event(rng, 60, 3, 5) for _ in range(6)], 6, 5)
    good, refused, lost = path.read_bytes(), 0, 0
    for damaged in flips(good, seed, 60):
        path.write_bytes(damaged)
        found = ingest(path, "pilarnet", tmp_path / "out")
        refused += found is None
        if found:
            table, rejected = found
            rows = sorted([int(key.split("/")[-1]) for key in table["event_id"].to_pylist()] + rejected)
            assert rows == list(range(len(rows)))
            lost += len(rejected)
    assert refused > 0
    assert lost > 0


@pytest.mark.parametrize("seed", range(2))
def test_damaged_npz(tmp_path, seed):
    """Zip has checksums: a damaged file is refused, or it gives the very same events."""
    path = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(seed), 6, 20))
    truth = ingest(path, "sphenix", tmp_path / "out")
    refused = 0
    for stem in ("spacepoints", "track_ids"):
        file = tmp_path / f"{stem}.npz"
        good = file.read_bytes()
        for damaged in flips(good, seed, 60):
            file.write_bytes(damaged)
            found = ingest(path, "sphenix", tmp_path / "out")
            refused += found is None
            assert found is None or (found[0].equals(truth[0]) and found[1] == truth[1])
        file.write_bytes(good)
    assert refused > 60


@pytest.mark.parametrize("seed", range(2))
def test_damaged_event_tables(tmp_path, seed):
    """A damaged event table is found by `validate` or reads without a crash; the checksum of the manifest finds every change."""
    source = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(seed), 6, 20))
    path = tmp_path / "t.parquet"
    ingest_file(source, "sphenix", "set", path, tmp_path / "t.rejected.parquet", lambda _: "train")
    good, found = path.read_bytes(), 0
    for damaged in flips(good, seed, 60):
        path.write_bytes(damaged)
        found += bool(list(validate_file(path)))
    assert found > 20
    path.write_bytes(good)
    with open_table(path) as table:
        assert table.metadata.num_rows == 6


def _references(path, name):
    with h5py.File(path) as file:
        return file[name].id.get_offset()


@pytest.mark.parametrize("name", ["point", "cluster", "cluster_extra"])
def test_a_row_that_claims_gigabytes_is_rejected_before_it_is_read(tmp_path, name):
    """HDF5 itself would allocate what the damaged length claims."""
    path = write_pilarnet(tmp_path / "a.h5", [lartpc_event(np.random.default_rng(i)) for i in range(5)], 6, 5)
    place = _references(path, name) + 16 * 2
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (0xFFFFFF00).to_bytes(4, "little")
    path.write_bytes(content)
    table, rejected = ingest(path, "pilarnet", tmp_path / "out")
    assert (table.num_rows, rejected) == (4, [2])
    with open_raw(path, load_detector("pilarnet")) as reader:
        (found,) = [one for block in reader.blocks() for one in block.deviations]
    assert (found.row, found.column) == (2, name)
    assert "announces 4294967040 values" in found.reason


@pytest.mark.parametrize("options", [{"chunks": (3,)}, {"chunks": (3,), "compression": "gzip"}, {"maxshape": (None,)}])
def test_chunked_and_compressed_tables_of_events_are_read(tmp_path, options):
    events = [lartpc_event(np.random.default_rng(i)) for i in range(8)]
    plain = write_pilarnet(tmp_path / "a.h5", events, 6)
    with h5py.File(plain) as source, h5py.File(tmp_path / "b.h5", "w") as target:
        for name in ("point", "cluster"):
            made = target.create_dataset(name, (8,), dtype=source[name].dtype, **options)
            for i in range(8):
                made[i] = source[name][i]
    expected = ingest(plain, "pilarnet", tmp_path / "out")[0]
    assert ingest(tmp_path / "b.h5", "pilarnet", tmp_path / "out")[0].equals(expected)
