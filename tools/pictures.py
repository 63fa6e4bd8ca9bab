"""Write the pictures of the documentation: docs/images/events.png, simulated events of both detectors."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pyarrow.parquet as pq

from tpcfm.detectors.registry import load_detector
from tpcfm.events.job import ingest_file
from tpcfm.events.read import read_event
from tpcfm.files import atomic
from tpcfm.report.draw.colouring import event_picture
from tpcfm.report.draw.stills import draw_panel
from tpcfm.simulate.collider import simulate_file as simulate_collider
from tpcfm.simulate.lartpc import simulate_file as simulate_lartpc

OUT = Path(__file__).resolve().parents[1] / "docs" / "images"


def _picture(raw: Path, name: str, folder: Path, wanted: int, column: str):
    """Ingest a raw file and draw the event whose size is nearest to the wanted number of points."""
    detector = load_detector(name)
    table = folder / f"{name}.parquet"
    ingest_file(raw, detector, name, table, folder / "rejected.parquet", split_rule=lambda _: "test")
    sizes = pq.read_table(table, columns=["n_points"])["n_points"].to_numpy()
    return event_picture(read_event(table, int(abs(sizes - wanted).argmin())), [column], detector)


def main() -> None:
    """Simulate, choose and draw."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_lartpc(folder / "lartpc.h5", events=24, seed=7, index=0, revision="v2")
        simulate_collider(folder, 0, 40, 7, "pythia", True, True)
        lartpc = _picture(folder / "lartpc.h5", "pilarnet", folder, 8000, "semantic")
        collider = _picture(folder / "spacepoints_000.npz", "sphenix", folder, 1600, "track")
    figure, (left, right) = plt.subplots(1, 2, figsize=(12.4, 5.8), layout="constrained")
    draw_panel(left, lartpc.panels[0], lartpc, azimuth=35, elevation=20)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=5, handletextpad=0.2, columnspacing=1.0)
    left.set_title("Liquid argon: voxels by semantic class (simulated)")
    draw_panel(right, collider.panels[0], collider, azimuth=20, elevation=15)
    right.set_title("Collider TPC: spacepoints by track (simulated)")
    with atomic(OUT / "events.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main()
