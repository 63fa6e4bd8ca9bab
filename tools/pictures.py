"""Write the pictures of the documentation: docs/images/events.png, simulated events of both detectors."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from tpcfm.events.job import ingest_file
from tpcfm.files import atomic
from tpcfm.report.draw.stills import draw_event
from tpcfm.report.sections.events import read_event
from tpcfm.simulate.collider import simulate_file as simulate_collider
from tpcfm.simulate.lartpc import simulate_file as simulate_lartpc

OUT = Path(__file__).resolve().parents[1] / "docs" / "images"


def _largest(raw: Path, layout: str, folder: Path, wanted: int):
    """Ingest a raw file and return the event whose size is nearest to the wanted number of points."""
    import pyarrow.parquet as pq

    table = folder / f"{layout}.parquet"
    ingest_file(raw, layout, layout, table, folder / "rejected.parquet", split_rule=lambda _: "test")
    sizes = pq.read_table(table, columns=["n_points"])["n_points"].to_numpy()
    return read_event(table, int(abs(sizes - wanted).argmin()))


def main() -> None:
    """Simulate, choose and draw."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_lartpc(folder / "lartpc.h5", events=24, seed=7, index=0, revision="v2")
        simulate_collider(folder, 0, 40, 7, "pythia", True, True)
        lartpc = _largest(folder / "lartpc.h5", "pilarnet", folder, 8000)
        collider = _largest(folder / "spacepoints_000.npz", "tpcpp", folder, 1600)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12.4, 5.8), layout="constrained")
    draw_event(left, lartpc, "semantic", "pilarnet")
    left.set_title("Liquid argon: voxels by semantic class (simulated)")
    draw_event(right, collider, "track", "tpcpp", azimuth=20, elevation=15, size=3)
    right.set_title("Collider TPC: spacepoints by track (simulated)")
    with atomic(OUT / "events.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main()
