"""Published rows of the comparison systems by class and by point: arXiv 2508.14087, Tables 4, 5 and 6 (App. C).

The FM4NPP rows of Tables 4 and 5 disagree with Table 2: their recalls by class give an accuracy of 0.85 for particles where Table 2 has
0.904. Table 2 is the reference; the rows stand here as printed.
"""

Scores = dict[str, tuple[float, float]]
"""Recall and precision of each class."""

PID_CLASSES = ("other", "pion", "kaon", "proton", "electron")
NOISE_CLASSES = ("signal", "noise")


def _rows(names: tuple[str, ...], table: dict[str, list[tuple[float, float]]]) -> dict[str, Scores]:
    return {system: dict(zip(names, row, strict=True)) for system, row in table.items()}


# Table 4.
PID_BY_CLASS = _rows(
    PID_CLASSES,
    {
        "GATConv": [(0.0947, 0.5709), (0.9106, 0.7014), (0.0057, 0.6146), (0.4567, 0.6117), (0.5190, 0.6854)],
        "GCNConv": [(0.0782, 0.5762), (0.9140, 0.6966), (0.0073, 0.5871), (0.4501, 0.6140), (0.5058, 0.6858)],
        "GraphConv": [(0.1304, 0.5739), (0.9133, 0.7146), (0.0080, 0.5791), (0.4766, 0.6272), (0.5597, 0.7178)],
        "SAGEConv": [(0.1085, 0.5790), (0.9126, 0.7382), (0.0338, 0.5239), (0.6242, 0.7071), (0.6024, 0.7028)],
        "OneFormer3D": [(0.3029, 0.5758), (0.9207, 0.7658), (0.0, 0.0), (0.4859, 0.6991), (0.7389, 0.8427)],
        "adapter only": [(0.0095, 0.7714), (0.9511, 0.6596), (0.0002, 0.2872), (0.4120, 0.6366), (0.3209, 0.7008)],
        "FM4NPP m6": [(0.4449, 0.7647), (0.9551, 0.8484), (0.2712, 0.7829), (0.8068, 0.8763), (0.8336, 0.8919)],
    },
)
# Table 5.
NOISE_BY_CLASS = _rows(
    NOISE_CLASSES,
    {
        "GATConv": [(0.9788, 0.9242), (0.3672, 0.6878)],
        "GCNConv": [(0.9784, 0.9241), (0.3672, 0.6832)],
        "GraphConv": [(0.9764, 0.9351), (0.4661, 0.7152)],
        "SAGEConv": [(0.9740, 0.9355), (0.4714, 0.6975)],
        "OneFormer3D": [(0.9716, 0.9884), (0.9092, 0.8012)],
        "adapter only": [(0.9901, 0.9169), (0.2528, 0.7548)],
        "FM4NPP m6": [(0.9809, 0.9812), (0.8435, 0.8416)],
    },
)
# Table 6.
SPACEPOINTS = {
    "EggNet": {"spacepoint_efficiency": 0.9301, "spacepoint_purity": 0.9234},
    "Exa.TrkX": {"spacepoint_efficiency": 0.9447, "spacepoint_purity": 0.9883},
    "adapter only": {"spacepoint_efficiency": 0.8934, "spacepoint_purity": 0.9209},
    "FM4NPP m6": {"spacepoint_efficiency": 0.9756, "spacepoint_purity": 0.9834},
}
# Accuracy of naming the most frequent class always: from the class shares that recalls and precisions of Tables 4 and 5 imply.
MAJORITY = {"pid": 0.583, "noise": 0.8875}
