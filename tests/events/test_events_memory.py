"""Peak memory of ingesting stays below 1 GiB and does not grow with the file."""

import json
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from columnfiles import detector_for, hits
from rawfiles import lartpc_event

pytestmark = pytest.mark.slow

JOB = """
import json, re, sys
from pathlib import Path
from tpcfm.events.job import ingest_file
path, detector, out = sys.argv[1:]
summary = ingest_file(path, detector, "set", out, Path(out).with_suffix(".rejected.parquet"), lambda _: "train")
# Not ru_maxrss: a child inherits the value of the process that started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"peak": peak, "points": summary["points"], "rejected": summary["rejected"]}))
"""


def peak(path, detector, out):
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(path), detector, str(out)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def large_pilarnet(path, events):
    """Events of 15,000 points, all alike: 480 kB each."""
    event = lartpc_event(np.random.default_rng(0), 14_000, 40, 1_000)
    with h5py.File(path, "w") as file:
        point = file.create_dataset("point", (events,), dtype=h5py.vlen_dtype(np.float32))
        cluster = file.create_dataset("cluster", (events,), dtype=h5py.vlen_dtype(np.int32))
        for i in range(events):
            point[i] = event["point"].reshape(-1)
            cluster[i] = event["cluster"].astype(np.int32).reshape(-1)
    return path


def large_tpcpp(path, blocks):
    """Blocks of 500 events of 1,000 points: 8 MB each."""
    rng = np.random.default_rng(0)
    radius, angle = rng.uniform(31, 75, 500_000), rng.uniform(-np.pi, np.pi, 500_000)
    columns = [
        rng.gamma(2, 120, 500_000),
        radius * np.cos(angle),
        radius * np.sin(angle),
        rng.uniform(-100, 100, 500_000),
    ]
    content = np.stack(columns, axis=1).astype(np.float32).tobytes()
    header = {"descr": "<f4", "fortran_order": False, "shape": (500_000 * blocks, 4)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("data.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for _ in range(blocks):
                stream.write(content)
        with archive.open("size.npy", "w") as stream:
            np.lib.format.write_array(stream, np.full(500 * blocks, 1000, np.int64))
    return path


def large_columns(path, groups):
    """Row groups of 200 events of 1,000 hits, as Parquet, and the detector beside it."""
    (path.parent / "toy.yaml").write_text(json.dumps(detector_for("rows.parquet")))
    table = hits(events=200, mean=1_000)
    with pq.ParquetWriter(path, pa.Schema.from_pandas(table, preserve_index=False)) as writer:
        for group in range(groups):
            writer.write_table(
                pa.Table.from_pandas(table.assign(event_id=table["event_id"] + 1000 * group), preserve_index=False)
            )
    return path


@pytest.mark.parametrize(
    ("write", "detector", "name", "sizes"),
    [
        (large_pilarnet, "pilarnet", "a.h5", (300, 1500)),
        (large_tpcpp, "sphenix", "spacepoints.npz", (4, 20)),
        (large_columns, "toy.yaml", "rows.parquet", (8, 40)),
    ],
)
def test_peak_memory(tmp_path, write, detector, name, sizes):
    found = []
    for size in sizes:
        path = write(tmp_path / name, size)
        named = tmp_path / detector if detector.endswith(".yaml") else detector
        found.append(peak(path, named, tmp_path / "p.parquet"))
        print(detector, path.stat().st_size / 2**20, "MiB file,", found[-1])
        path.unlink()
    small, large = found
    assert large["points"] == small["points"] * sizes[1] // sizes[0]
    assert large["rejected"] == 0
    assert large["peak"] < 2**30
    assert large["peak"] < small["peak"] + 128 * 2**20
