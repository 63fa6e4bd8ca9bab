"""Numbers of arXiv 2508.14087 (FM4NPP), for tables that show them beside ours. Ours come from other data unless said so.

The FM4NPP rows of Tables 4 and 5 disagree with Table 2: their recalls by class give an accuracy of 0.85 for particles where Table 2 has
0.904. Table 2 is the reference; the rows stand here as printed.
"""

from collections.abc import Mapping

from tpcfm.report.published.record import Numbers, Scores, Task

PAPER, DATA = "arXiv 2508.14087", "TPCpp-10M"
BESIDE = {
    "SAGE": "SAGEConv",
    "GCN": "GCNConv",
    "GAT": "GATConv",
    "voxel U-Net with queries": "OneFormer3D",
    "m6 pretrained": "FM4NPP m6",
    "m6 adapter only": "adapter only",
}
Overall = Mapping[str, Mapping[str, float]]


def _rows(
    overall: Overall, classes: tuple[str, ...], by_class: Mapping[str, list[tuple[float, float]]]
) -> dict[str, Scores]:
    """Join scores over all classes with recall and precision of each class."""
    found: dict[str, Scores] = {}
    for network, scores in overall.items():
        rows = {metric: {"": value} for metric, value in scores.items()}
        for place, metric in enumerate(("recall", "precision")):
            if network in by_class:
                values = [pair[place] for pair in by_class[network]]
                rows[metric] = {**rows[metric], **dict(zip(classes, values, strict=True))}
        found[network] = rows
    return found


# Table 2: m6 with 70,000 labelled events, the adapter-only control and the baselines; trained parameters. GAT and GCN: macro
# means of the rows of Tables 4 and 5, which print no noise accuracy; their sizes are not published. Table 6: efficiency and purity of points.
TRACKS = {
    "FM4NPP m6": {"ari": 0.945, "efficiency": 0.961, "purity": 0.931, "parameters": 2.39e6}
    | {"spacepoint_efficiency": 0.9756, "spacepoint_purity": 0.9834},
    "adapter only": {"ari": 0.724, "efficiency": 0.780, "purity": 0.645, "parameters": 2.39e6}
    | {"spacepoint_efficiency": 0.8934, "spacepoint_purity": 0.9209},
    "EggNet": {"ari": 0.726, "efficiency": 0.742, "purity": 0.751, "parameters": 0.16e6}
    | {"spacepoint_efficiency": 0.9301, "spacepoint_purity": 0.9234},
    "Exa.TrkX": {"ari": 0.877, "efficiency": 0.918, "purity": 0.664, "parameters": 3.86e6}
    | {"spacepoint_efficiency": 0.9447, "spacepoint_purity": 0.9883},
    "HEPT": {"ari": 0.831, "efficiency": 0.812, "purity": 0.780, "parameters": 0.31e6},
}
PID = {
    "FM4NPP m6": {"accuracy": 0.904, "recall": 0.765, "precision": 0.878, "parameters": 0.74e6},
    "adapter only": {"accuracy": 0.663, "recall": 0.339, "precision": 0.611, "parameters": 0.74e6},
    "SAGEConv": {"accuracy": 0.726, "recall": 0.456, "precision": 0.650, "parameters": 0.91e6},
    "GraphConv": {"accuracy": 0.708, "recall": 0.418, "precision": 0.643, "parameters": 0.91e6},
    "GATConv": {"accuracy": 0.692, "recall": 0.397, "precision": 0.637},
    "GCNConv": {"accuracy": 0.689, "recall": 0.391, "precision": 0.632},
    "OneFormer3D": {"accuracy": 0.770, "recall": 0.490, "precision": 0.577, "parameters": 44.95e6},
}
NOISE = {
    "FM4NPP m6": {"accuracy": 0.971, "recall": 0.937, "precision": 0.919, "parameters": 0.74e6},
    "adapter only": {"accuracy": 0.911, "recall": 0.622, "precision": 0.836, "parameters": 0.74e6},
    "SAGEConv": {"accuracy": 0.917, "recall": 0.723, "precision": 0.817, "parameters": 0.91e6},
    "GraphConv": {"accuracy": 0.919, "recall": 0.721, "precision": 0.825, "parameters": 0.91e6},
    "GATConv": {"recall": 0.673, "precision": 0.806},
    "GCNConv": {"recall": 0.673, "precision": 0.804},
    "OneFormer3D": {"accuracy": 0.965, "recall": 0.940, "precision": 0.895, "parameters": 44.95e6},
}
# Table 4: recall and precision of each class.
PID_CLASSES = ("other", "pion", "kaon", "proton", "electron")
PID_BY_CLASS = {
    "GATConv": [(0.0947, 0.5709), (0.9106, 0.7014), (0.0057, 0.6146), (0.4567, 0.6117), (0.5190, 0.6854)],
    "GCNConv": [(0.0782, 0.5762), (0.9140, 0.6966), (0.0073, 0.5871), (0.4501, 0.6140), (0.5058, 0.6858)],
    "GraphConv": [(0.1304, 0.5739), (0.9133, 0.7146), (0.0080, 0.5791), (0.4766, 0.6272), (0.5597, 0.7178)],
    "SAGEConv": [(0.1085, 0.5790), (0.9126, 0.7382), (0.0338, 0.5239), (0.6242, 0.7071), (0.6024, 0.7028)],
    "OneFormer3D": [(0.3029, 0.5758), (0.9207, 0.7658), (0.0, 0.0), (0.4859, 0.6991), (0.7389, 0.8427)],
    "adapter only": [(0.0095, 0.7714), (0.9511, 0.6596), (0.0002, 0.2872), (0.4120, 0.6366), (0.3209, 0.7008)],
    "FM4NPP m6": [(0.4449, 0.7647), (0.9551, 0.8484), (0.2712, 0.7829), (0.8068, 0.8763), (0.8336, 0.8919)],
}
# Table 5.
NOISE_CLASSES = ("signal", "noise")
NOISE_BY_CLASS = {
    "GATConv": [(0.9788, 0.9242), (0.3672, 0.6878)],
    "GCNConv": [(0.9784, 0.9241), (0.3672, 0.6832)],
    "GraphConv": [(0.9764, 0.9351), (0.4661, 0.7152)],
    "SAGEConv": [(0.9740, 0.9355), (0.4714, 0.6975)],
    "OneFormer3D": [(0.9716, 0.9884), (0.9092, 0.8012)],
    "adapter only": [(0.9901, 0.9169), (0.2528, 0.7548)],
    "FM4NPP m6": [(0.9809, 0.9812), (0.8435, 0.8416)],
}
# App. C: the clustering that the paper gives for each system; two thresholds for Exa.TrkX.
_MAIN = ("ari", "efficiency", "purity")
CLUSTERINGS = {
    ("EggNet", "eps 1, min_samples 2"): {m: TRACKS["EggNet"][m] for m in _MAIN},
    ("Exa.TrkX", "threshold 0.9"): {"efficiency": 0.9179, "purity": 0.6642},
    ("Exa.TrkX", "threshold 0.8"): {"efficiency": 0.9001, "purity": 0.7672},
    ("HEPT", "min_cluster 12, min_samples 15"): {m: TRACKS["HEPT"][m] for m in _MAIN},
}
# Sec. 5 and App. C: efficiency for |eta| < 1.1, pT > 1 GeV, at least 20 points (Exa.TrkX: pT cut alone).
SELECTED_TRACKS = {"FM4NPP m6": 0.996, "sPHENIX pipeline": 0.946, "Exa.TrkX, threshold 0.9": 0.9474}
# Table 3: change against the base run (m5), by task.
ABLATIONS = {
    "next token": {"noise": -0.0010, "pid": -0.0023, "track": -0.0009},
    "k=1": {"noise": -0.0012, "pid": -0.0049, "track": -0.0019},
    "k=5": {"noise": -0.0007, "pid": -0.0016, "track": -0.0003},
    "hilbert": {"noise": -0.0014, "pid": -0.0075, "track": -0.0051},
}
# Fig. 13 and App. C.4: identification adapter on m6 by depth; the losses and benefits that are printed as numbers.
ADAPTER_DEPTH: dict[int, dict[str, float]] = {
    0: {"parameters": 0.56e6, "benefit": 0.542},
    1: {"parameters": 1.09e6},
    2: {"parameters": 1.62e6, "depth/pretrained": 0.238},
    4: {"parameters": 2.67e6, "depth/pretrained": 0.244, "depth/linear layer": 0.304, "benefit": 0.198},
}
# Table 7: validation losses with two blocks of trunk.
ADAPTER_JOINT = {"separate": {"pid": 0.2377, "noise": 0.0513}, "joint": {"pid": 0.3107, "noise": 0.0552}}
STUDIES = {
    "ablation_heads": Numbers(f"{PAPER}, Table 3 (m5)", DATA, ABLATIONS),
    "adapter_depth": Numbers(
        f"{PAPER}, Fig. 13 and App. C.4, as far as printed as numbers; m6, 70,000 labels, other data. The first block lowers the loss by 45.7 %",
        DATA,
        ADAPTER_DEPTH,
    ),
    "adapter_joint": Numbers(f"{PAPER}, Table 7, other data", DATA, ADAPTER_JOINT),
}
LABELS = (100, 1000, 10_000, 70_000)
_DATA = f"70,000 labelled events of {DATA}, other data than ours unless said so"
_BY_CLASS = "The published FM4NPP rows by class disagree with the published Table 2 (their recalls imply a lower accuracy); Table 2 is the reference."
# Majority: accuracy of naming the most frequent class always, from the class shares that recalls and precisions of Tables 4 and 5 imply.
TASKS = {
    "track": Task(
        source=f"{PAPER}, Tables 2 and 6, Sec. 5 and App. C, {_DATA}",
        labels=LABELS,
        rows=_rows(TRACKS, (), {}),
        beside=BESIDE,
        clusterings=CLUSTERINGS,
        selected=SELECTED_TRACKS,
        gain={"few labels": 2.9, "all 70,000 labels": 1.3},  # Sec. 5, m6
        note="Exa.TrkX with the pT cut alone.",
    ),
    "pid": Task(
        source=f"{PAPER}, Tables 2 and 4, {_DATA}",
        labels=LABELS,
        rows=_rows(PID, PID_CLASSES, PID_BY_CLASS),
        beside=BESIDE,
        majority=0.583,
        note=_BY_CLASS,
    ),
    "noise": Task(
        source=f"{PAPER}, Tables 2 and 5, {_DATA}",
        labels=LABELS,
        rows=_rows(NOISE, NOISE_CLASSES, NOISE_BY_CLASS),
        beside=BESIDE,
        majority=0.8875,
        note=_BY_CLASS,
    ),
}
