"""`read_events` is the one reader of event tables: columns and rows as asked, bounded, errors that name the place."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rawfiles import lartpc_event, write_pilarnet
from tpcfm.errors import DataError
from tpcfm.events.job import ingest_file
from tpcfm.events.read import read_event, read_events


@pytest.fixture
def table(tmp_path):
    events = [lartpc_event(np.random.default_rng(i)) for i in range(9)]
    path = write_pilarnet(tmp_path / "a.h5", events, 5)
    ingest_file(path, "pilarnet", "set", tmp_path / "p.parquet", tmp_path / "r.parquet", lambda _: "train")
    pq.write_table(pq.read_table(tmp_path / "p.parquet"), tmp_path / "p.parquet", row_group_size=4)
    return tmp_path / "p.parquet"


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_columns_and_rows_as_asked(table, batch):
    whole = pq.read_table(table).to_pylist()
    for rows in (None, [0], [3, 4, 8], [2, 3, 5, 7], []):
        found = list(read_events(table, ["event_id", "x", "energy", "pid"], batch, rows))
        expected = whole if rows is None else [whole[row] for row in rows]
        assert [event["event_id"] for event in found] == [event["event_id"] for event in expected]
        for event, truth in zip(found, expected, strict=True):
            assert event["x"].dtype == np.int16
            assert (event["x"].tolist(), event["pid"]) == (truth["x"], None)


def test_one_event_without_its_null_columns(table):
    event = read_event(table, 5)
    assert event["event_id"] == "set/p/5"
    assert "pid" not in event
    with pytest.raises(IndexError):
        read_event(table, 9)


def test_errors_name_file_columns_and_rows(table):
    with pytest.raises(DataError, match=r"p\.parquet: lacks the columns charge; there are: event_id, split"):
        list(read_events(table, ["charge"]))
    with pytest.raises(DataError, match=r"p\.parquet: no event 9: it has 9 \(0 to 8\)"):
        list(read_events(table, ["x"], rows=[2, 9]))
    with pytest.raises(DataError, match="no such file"):
        list(read_events(table.with_name("q.parquet"), ["x"]))
    group = pq.ParquetFile(table).metadata.row_group(1)
    places = [group.column(i) for i in range(group.num_columns)]
    place = next(one.data_page_offset for one in places if one.path_in_schema.startswith("x."))
    content = bytearray(table.read_bytes())
    content[place : place + 40] = bytes(40)
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"p\.parquet: damaged event table, from row 4 on"):
        list(read_events(table, ["x"]))
    assert len(list(read_events(table, ["x"], rows=[0, 3, 8]))) == 3


def test_names_that_are_no_text_are_a_damaged_file(tmp_path):
    pq.write_table(pa.table({"abcdefgh": [1]}), tmp_path / "a.parquet")
    path = tmp_path / "a.parquet"
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abc\xff\xfefgh"))
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        list(read_events(path, ["x"]))
