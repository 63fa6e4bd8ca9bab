"""Names of systems, studies, tokenizers and scores as people write them; in tables, configuration and file names stand the short ones."""

STARTS = {
    "random": "random weights",
    "point_mae": "Point-MAE",
    "polar_mae": "PoLAr-MAE",
    "sparse_unet": "sparse U-Net",
}
SYSTEMS = {
    "sage": "SAGE",
    "graph_conv": "GraphConv",
    "gcn": "GCN",
    "gat": "GAT",
    "voxel_unet": "voxel U-Net with queries",
    "eggnet": "EggNet",
    "exatrkx": "Exa.TrkX",
    "hept": "HEPT",
    "kalman": "Kalman filter",
}
TASKS = {"tracks": "Track finding", "pid": "Particle identification", "noise": "Noise tagging"}
"""Titles of tasks on labels of tracks and their points."""
MODES = {"peft": "frozen", "full": "fine-tuned"}
TOKENIZERS = {
    "cnms": "C-NMS + ball query",
    "fps_cnms": "FPS + C-NMS + ball query",
    "fps_ball": "FPS + ball query",
    "fps_knn": "FPS + kNN",
}
ABBREVIATIONS = "C-NMS: centrality-based non-maximum suppression; FPS: farthest point sampling; kNN: k nearest neighbours (k = the cap of points per group)."


def plain(name: str) -> str:
    """Return the name of a start (``polar_mae``) or of a start and its mode (``polar_mae/peft``), whatever follows a comma; else the same."""
    system, comma, rest = name.partition(", ")
    start, _, mode = system.partition("/")
    if mode == "full" and start == "random":
        return "from scratch" + comma + rest
    return STARTS.get(start, start) + (f", {MODES.get(mode, mode)}" if mode else "") + comma + rest


def plain_pair(name: str) -> str:
    """Return a comparison in words: ``polar_mae/peft against sparse_unet`` as "PoLAr-MAE, frozen against sparse U-Net"."""
    return " against ".join(SYSTEMS.get(part, plain(tokenizer(part))) for part in name.split(" against "))


def score_name(metric: str) -> str:
    """Return the name of a score over all classes."""
    return {"ari": "ARI", "f1": "macro F1", "iou": "mean IoU"}.get(metric, metric.replace("_", " "))


def tokenizer(name: str) -> str:
    """Return the name of a tokenizer that begins with its method (``fps_cnms-f0.73``, ``cnms r=5 f=0.73``); anything else as it is."""
    method = name.split("-")[0].split(" ")[0]
    if method not in TOKENIZERS:
        return name
    rest = name[len(method) :].replace("-f", " f=")
    for short, long in ((" r=", ", r = "), (" f=", ", f = "), (" N/", ", N/")):
        rest = rest.replace(short, long)
    return TOKENIZERS[method] + rest
