"""Reference numbers of the two papers, for tables that show them beside ours. Ours come from other data unless said so."""

DATA_2502, DATA_2508 = "PILArNet-M", "TPCpp-10M"
"""Events that the numbers of arXiv 2502.02558 and 2508.14087 belong to."""

# arXiv 2502.02558, Table 1: SVM F1 on frozen tokens (mean, track, shower, delta, Michel).
PROBE = {
    "Point-MAE, 100k steps": {"mean": 0.680, "track": 0.990, "shower": 0.970, "delta": 0.436, "Michel": 0.325},
    "Point-MAE, 500k steps": {"mean": 0.719, "track": 0.993, "shower": 0.967, "delta": 0.572, "Michel": 0.342},
    "PoLAr-MAE, 500k steps": {"mean": 0.732, "track": 0.994, "shower": 0.977, "delta": 0.518, "Michel": 0.440},
}
# arXiv 2502.02558, Table 7: segmentation with 10,000 labelled events: mean, track, shower, delta, Michel.
SEGMENTATION: dict[tuple[str, str], dict[str, dict[str, float]]] = {
    ("polar_mae", "peft"): {
        "f1": {"mean": 0.798, "track": 0.961, "shower": 0.990, "delta": 0.542, "Michel": 0.698},
        "precision": {"mean": 0.730, "track": 0.995, "shower": 0.997, "delta": 0.378, "Michel": 0.548},
        "recall": {"mean": 0.958, "track": 0.929, "shower": 0.983, "delta": 0.956, "Michel": 0.963},
    },
    ("point_mae", "peft"): {
        "f1": {"mean": 0.772, "track": 0.965, "shower": 0.983, "delta": 0.569, "Michel": 0.572},
        "precision": {"mean": 0.702, "track": 0.990, "shower": 0.998, "delta": 0.413, "Michel": 0.406},
        "recall": {"mean": 0.948, "track": 0.941, "shower": 0.968, "delta": 0.919, "Michel": 0.967},
    },
    ("point_mae", "full"): {
        "f1": {"mean": 0.831, "track": 0.963, "shower": 0.994, "delta": 0.561, "Michel": 0.807},
        "precision": {"mean": 0.771, "track": 0.996, "shower": 0.997, "delta": 0.395, "Michel": 0.697},
        "recall": {"mean": 0.962, "track": 0.932, "shower": 0.990, "delta": 0.969, "Michel": 0.957},
    },
    ("polar_mae", "full"): {
        "f1": {"mean": 0.837, "track": 0.964, "shower": 0.994, "delta": 0.569, "Michel": 0.823},
        "precision": {"mean": 0.779, "track": 0.996, "shower": 0.997, "delta": 0.402, "Michel": 0.720},
        "recall": {"mean": 0.964, "track": 0.934, "shower": 0.992, "delta": 0.970, "Michel": 0.959},
    },
}
# arXiv 2502.02558, Sec. 5: precision with 100 labelled events, as the text gives it (Fig. 5 prints no numbers).
PRECISION_100 = {
    "PoLAr-MAE": {"shower": 0.995, "track": 0.993},
    "sparse U-Net": {"shower": 0.326, "track": 0.933},
}
# arXiv 2502.02558, Table 4: SVM F1 after 100,000 steps; the value of f in the fourth row is read from the text around it.
GROUPING = {
    "FPS + kNN": {"mean": 0.469, "track": 0.840, "shower": 0.678, "delta": 0.339, "Michel": 0.022},
    "FPS + ball query": {"mean": 0.555, "track": 0.943, "shower": 0.797, "delta": 0.417, "Michel": 0.061},
    "FPS + C-NMS + ball query": {"mean": 0.687, "track": 0.988, "shower": 0.966, "delta": 0.449, "Michel": 0.344},
    "FPS + C-NMS + ball query, f = 1": {
        "mean": 0.669,
        "track": 0.989,
        "shower": 0.967,
        "delta": 0.381,
        "Michel": 0.339,
    },
    "C-NMS + ball query": {"mean": 0.698, "track": 0.989, "shower": 0.968, "delta": 0.454, "Michel": 0.383},
}
# arXiv 2508.14087, Table 2: FM4NPP m6 with 70,000 labelled events, the adapter-only control and the comparison systems; trained
# parameters. GAT and GCN: macro means of the rows of Tables 4 and 5, which print no noise accuracy; their sizes are not published.
TRACKS = {
    "FM4NPP m6": {"ari": 0.945, "efficiency": 0.961, "purity": 0.931, "parameters": 2.39e6},
    "adapter only": {"ari": 0.724, "efficiency": 0.780, "purity": 0.645, "parameters": 2.39e6},
    "EggNet": {"ari": 0.726, "efficiency": 0.742, "purity": 0.751, "parameters": 0.16e6},
    "Exa.TrkX": {"ari": 0.877, "efficiency": 0.918, "purity": 0.664, "parameters": 3.86e6},
    "HEPT": {"ari": 0.831, "efficiency": 0.812, "purity": 0.780, "parameters": 0.31e6},
}
# arXiv 2508.14087, App. C: the clustering that the paper gives for each system; two thresholds for Exa.TrkX.
CLUSTERINGS = {
    ("EggNet", "eps 1, min_samples 2"): TRACKS["EggNet"],
    ("Exa.TrkX", "threshold 0.9"): {"efficiency": 0.9179, "purity": 0.6642},
    ("Exa.TrkX", "threshold 0.8"): {"efficiency": 0.9001, "purity": 0.7672},
    ("HEPT", "min_cluster 12, min_samples 15"): TRACKS["HEPT"],
}
# arXiv 2508.14087, Sec. 5 and App. C: efficiency for |eta| < 1.1, pT > 1 GeV, at least 20 points (Exa.TrkX: pT cut alone).
SELECTED_TRACKS = {"FM4NPP m6": 0.996, "sPHENIX pipeline": 0.946, "Exa.TrkX, threshold 0.9": 0.9474}
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
# arXiv 2508.14087, Table 3: change against the base run (m5).
ABLATIONS = {
    "next token": {"noise": -0.0010, "pid": -0.0023, "tracks": -0.0009},
    "k=1": {"noise": -0.0012, "pid": -0.0049, "tracks": -0.0019},
    "k=5": {"noise": -0.0007, "pid": -0.0016, "tracks": -0.0003},
    "hilbert": {"noise": -0.0014, "pid": -0.0075, "tracks": -0.0051},
}
# arXiv 2508.14087, Fig. 13 and App. C.4: identification adapter on m6 by depth; the losses and benefits that are printed as numbers.
ADAPTER_DEPTH: dict[int, dict[str, float]] = {
    0: {"parameters": 0.56e6, "benefit": 0.542},
    1: {"parameters": 1.09e6},
    2: {"parameters": 1.62e6, "depth/pretrained": 0.238},
    4: {"parameters": 2.67e6, "depth/pretrained": 0.244, "depth/linear layer": 0.304, "benefit": 0.198},
}
# arXiv 2508.14087, Table 7: validation losses with two blocks of trunk.
ADAPTER_JOINT = {"separate": {"pid": 0.2377, "noise": 0.0513}, "joint": {"pid": 0.3107, "noise": 0.0552}}
# arXiv 2508.14087, Sec. 5: ARI with the backbone over that of the adapter alone, with few labels and with all.
ARI_GAIN = {"few labels": 2.9, "all 70,000 labels": 1.3}
