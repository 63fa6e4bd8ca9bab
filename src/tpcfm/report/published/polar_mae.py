"""Numbers of arXiv 2502.02558 (PoLAr-MAE) as the sections show them beside ours. Ours come from other data unless said so."""

from tpcfm.report.published.printed import Scores, scores
from tpcfm.report.published.record import Numbers, Task

PAPER, DATA = "arXiv 2502.02558", "PILArNet-M"
OBJECTIVES = {"point_mae": "Point-MAE", "polar_mae": "PoLAr-MAE"}
GROUPING_STEPS = 100_000


def _by_steps(found: Scores) -> dict[tuple[str, int], dict[str, float]]:
    """Take the steps out of the names of rows."""
    parts = {row: row.removesuffix(" steps").rpartition(", ") for row in found}
    return {(name, int(steps)): found[row]["f1"] for row, (name, _, steps) in parts.items()}


PROBE = _by_steps(scores("probe"))
SEGMENTATION = scores("segmentation")
GROUPING = {(row, GROUPING_STEPS): found["f1"] for row, found in scores("grouping").items()}
STUDIES = {
    "probe": Numbers(f"{PAPER}, Table 1", DATA, PROBE),
    "grouping_probe": Numbers(
        f"{PAPER}, Table 4; f = 0.73 where none is named, and its run with the smallest f ran out of memory",
        DATA,
        GROUPING,
    ),
}
TASKS = {
    "semantic": Task(
        source=f"{PAPER}, Table 7, 10,000 labelled events of {DATA}; no IoU and no accuracy given",
        labels=(100, 1000, 10_000),
        rows=SEGMENTATION,
        # Sec. 5: precision with 100 labelled events, as the text gives it (Fig. 5 prints no numbers).
        marks=(
            *(
                (metric, 100, network, values)
                for network, found in scores("few_labels").items()
                for metric, values in found.items()
            ),
            # Fig. 7's line, from how far the text says PoLAr-MAE lies above it.
            ("precision", 100_000, "SPINE's sparse U-Net", {"shower": 0.977, "track": 0.995}),
        ),
    )
}
