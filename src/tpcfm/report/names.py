"""Names of starts, networks, tasks, tokenizers and scores as people write them; in tables, configuration and file names stand the short ones."""

from collections.abc import Container

from tpcfm.detectors.model import InstanceLabel, Label
from tpcfm.models.tuning.settings import NAMES
from tpcfm.report.published.lookup import OBJECTIVES

ALONE = "adapter only"
"""A head on raw points, without a backbone; of several sizes, each is "m6 adapter only"."""
BASELINES = {
    "sage": "SAGE",
    "graph_conv": "GraphConv",
    "gcn": "GCN",
    "gat": "GAT",
    "voxel_unet": "voxel U-Net with queries",
    "sparse_unet": "sparse U-Net",
    "eggnet": "EggNet",
    "exatrkx": "Exa.TrkX",
    "hept": "HEPT",
    "kalman": "Kalman filter",
    "trees": "boosted trees",
    "edges": "perceptron on pairs",
    "dbscan": "DBSCAN",
}
STARTS = {"random": "random weights", "none": "local geometry alone", **OBJECTIVES}
"""What a network starts from, the controls first."""
MODES: dict[str, str] = {"peft": "frozen", "edges": "edge head", **NAMES}
TASKS = {
    "track": "Track finding",
    "pid": "Particle identification",
    "noise": "Noise tagging",
    "semantic": "Semantic segmentation",
}
TOKENIZERS = {
    "cnms": "C-NMS + ball query",
    "fps_cnms": "FPS + C-NMS + ball query",
    "fps_ball": "FPS + ball query",
    "fps_knn": "FPS + kNN",
}
ABBREVIATIONS = "C-NMS: centrality-based non-maximum suppression; FPS: farthest point sampling; kNN: k nearest neighbours (k = the cap of points per token)."
SCORES = {"ari": "ARI", "ari_pooled": "ARI, pooled", "f1": "macro F1", "iou": "mean IoU"}
SCORES |= {f"{score}_min_size": f"{score}, least size" for score in ("efficiency", "purity")}
SCORES |= {"particle_accuracy": "accuracy by particle", "particle_f1": "macro F1 by particle"}
CLASS_SCORES = {"f1": "F1", "iou": "IoU"}


def task_title(name: str, label: Label) -> str:
    """Return the title of a task: a label column of a detector."""
    words = name.replace("_", " ")
    return TASKS.get(name, f"Finding of {words}s" if isinstance(label, InstanceLabel) else f"Classes by {words}")


def control_of(point: str, points: Container[str]) -> str | None:
    """Return the head without a backbone that a start such as ``m6 pretrained`` stands against, of its width if there is one."""
    return next((name for name in (f"{point.split(' ')[0]} {ALONE}", ALONE) if name in points), None)


def plain(name: str) -> str:
    """Return the name of a start (``random``) or baseline, or of a start and its mode (``random/peft``), whatever follows a comma; else
    the same."""
    system, comma, rest = name.partition(", ")
    start, _, mode = system.partition("/")
    if mode == "full" and start == "random":
        return "from scratch" + comma + rest
    known = BASELINES.get(start, STARTS.get(start, start))
    return known + (f", {MODES.get(mode, mode)}" if mode else "") + comma + rest


def start_rank(name: str) -> int:
    """Return the place of a start among `STARTS`; unknown ones come last."""
    return list(STARTS).index(name) if name in STARTS else len(STARTS)


def plain_pair(name: str) -> str:
    """Return a comparison in words: ``random/peft against sparse_unet`` as "random weights, frozen against sparse U-Net"."""
    return " against ".join(plain(tokenizer(part)) for part in name.split(" against "))


def score_name(metric: str, of_class: str = "") -> str:
    """Return the name of a score, over all classes or of one."""
    return f"{of_class} {class_score(metric)}" if of_class else SCORES.get(metric, metric.replace("_", " "))


def class_score(metric: str) -> str:
    """Return the name of a score of one class."""
    return CLASS_SCORES.get(metric, metric.replace("_", " "))


def tokenizer(name: str) -> str:
    """Return the name of a tokenizer that begins with its method (``fps_cnms-f0.73``, ``cnms r=5 f=0.73``); anything else as it is."""
    method = name.split("-")[0].split(" ")[0]
    if method not in TOKENIZERS:
        return name
    rest = name[len(method) :].replace("-f", " f=")
    for short, long in ((" r=", ", r = "), (" f=", ", f = "), (" N/", ", N/")):
        rest = rest.replace(short, long)
    return TOKENIZERS[method] + rest
