"""Numbers of arXiv 2502.02558 (PoLAr-MAE), for tables that show them beside ours. Ours come from other data unless said so."""

from tpcfm.report.published.record import Numbers, Task

PAPER, DATA = "arXiv 2502.02558", "PILArNet-M"
OBJECTIVES = {"point_mae": "Point-MAE", "polar_mae": "PoLAr-MAE"}
CLASSES = ("", "track", "shower", "delta", "Michel")
"""Order of the values below; "" is the mean."""


def _classes(*values: float) -> dict[str, float]:
    return dict(zip(CLASSES, values, strict=True))


# Table 1: SVM F1 on frozen tokens, by network and pretraining steps.
PROBE = {
    ("Point-MAE", 100_000): _classes(0.680, 0.990, 0.970, 0.436, 0.325),
    ("Point-MAE", 500_000): _classes(0.719, 0.993, 0.967, 0.572, 0.342),
    ("PoLAr-MAE", 500_000): _classes(0.732, 0.994, 0.977, 0.518, 0.440),
}
# Table 7: segmentation with 10,000 labelled events.
SEGMENTATION = {
    "PoLAr-MAE, frozen": {
        "f1": _classes(0.798, 0.961, 0.990, 0.542, 0.698),
        "precision": _classes(0.730, 0.995, 0.997, 0.378, 0.548),
        "recall": _classes(0.958, 0.929, 0.983, 0.956, 0.963),
    },
    "Point-MAE, frozen": {
        "f1": _classes(0.772, 0.965, 0.983, 0.569, 0.572),
        "precision": _classes(0.702, 0.990, 0.998, 0.413, 0.406),
        "recall": _classes(0.948, 0.941, 0.968, 0.919, 0.967),
    },
    "Point-MAE, fine-tuned": {
        "f1": _classes(0.831, 0.963, 0.994, 0.561, 0.807),
        "precision": _classes(0.771, 0.996, 0.997, 0.395, 0.697),
        "recall": _classes(0.962, 0.932, 0.990, 0.969, 0.957),
    },
    "PoLAr-MAE, fine-tuned": {
        "f1": _classes(0.837, 0.964, 0.994, 0.569, 0.823),
        "precision": _classes(0.779, 0.996, 0.997, 0.402, 0.720),
        "recall": _classes(0.964, 0.934, 0.992, 0.970, 0.959),
    },
}
# Table 4: SVM F1 after 100,000 steps; the value of f in the fourth row is read from the text around it.
GROUPING = {
    ("FPS + kNN", 100_000): _classes(0.469, 0.840, 0.678, 0.339, 0.022),
    ("FPS + ball query", 100_000): _classes(0.555, 0.943, 0.797, 0.417, 0.061),
    ("FPS + C-NMS + ball query", 100_000): _classes(0.687, 0.988, 0.966, 0.449, 0.344),
    ("FPS + C-NMS + ball query, f = 1", 100_000): _classes(0.669, 0.989, 0.967, 0.381, 0.339),
    ("C-NMS + ball query", 100_000): _classes(0.698, 0.989, 0.968, 0.454, 0.383),
}
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
            ("precision", 100, "PoLAr-MAE", {"shower": 0.995, "track": 0.993}),
            ("precision", 100, "sparse U-Net", {"shower": 0.326, "track": 0.933}),
            # Fig. 7's line, from how far the text says PoLAr-MAE lies above it.
            ("precision", 100_000, "SPINE's sparse U-Net", {"shower": 0.977, "track": 0.995}),
        ),
    )
}
