"""What only tasks of instances have: scores of points, published clusterings, the tracks that experiments quote, momenta."""

from tpcfm.evaluate.found_objects import QUALITIES
from tpcfm.report.draw.style import Item
from tpcfm.report.names import score_name
from tpcfm.report.sections.found_tracks import track_items
from tpcfm.report.sections.label_tables import cell, labels, means, paper, scores
from tpcfm.report.sections.momentum import momentum_items
from tpcfm.report.tables import table
from tpcfm.report.view import INSTANCE_SCORES, TaskView

POINTS = ["spacepoint_efficiency", "spacepoint_purity"]
OBJECTS = [*QUALITIES, "signal_resolution", "signal_bias"]
OBJECTS_CAPTION = (
    "A found and a true object match where they share more than half of their union (arXiv 1801.00868). Recognition: matched over the mean of true and "
    "found; segmentation: mean shared part of matched ones; panoptic: their product. Signal: (found - true) / true sum of the signal of matched "
    "objects, half of its central 68 % and its median."
)
SELECTED = {"": "helix fit", "_truth": "truth", "_primary": "from the beam line"}


def instance_items(task: TaskView) -> list[Item]:
    """Return these items, as far as runs have recorded what they show."""
    if task.classes:
        return []
    name, title = f"table-{task.name}-points", f"{task.title}, points"
    objects = [m for m in OBJECTS if len(task.of(m))]
    found = scores(task, f"table-{task.name}-objects", f"{task.title}, objects", objects, OBJECTS_CAPTION)
    points = scores(task, name, title, [m for m in POINTS if len(task.of(m))], paper(task).strip())
    return [*points, *found, *given_clusterings(task), *selected_table(task), *momentum_items(task), *track_items(task)]


def given_clusterings(task: TaskView) -> list[Item]:
    """Return the scores of the baselines under the clustering that the paper gives; nothing where there are none."""
    body: list[list[object]] = []
    for clustering in task.rows.loc[task.rows["metric"].eq("ari") & task.rows["class"].ne(""), "class"].unique():
        found = {m: means(task, m, clustering) for m in INSTANCE_SCORES}
        for key in found["ari"]:
            published = task.published.clusterings.get((key[0], clustering), {})
            cells = [c for m in INSTANCE_SCORES for c in (cell(found[m].get(key)), published.get(m))]
            body.append([key[0], labels(key), clustering.replace("_", " "), *cells])
    if not body:
        return []
    caption = (
        "The same networks, with the parameters of the clustering as published in place of those tuned on validation events; of the Kalman "
        f"filter its default cuts.{paper(task)}"
    )
    head = [h for m in INSTANCE_SCORES for h in (score_name(m), f"{score_name(m)}, paper")]
    name, title = f"table-{task.name}-given", f"{task.title}, clustering as published"
    return [table(task.view.sheet, name, title, ["system", "labels", "clustering", *head], body, caption)]


def selected_table(task: TaskView) -> list[Item]:
    """Return the table of efficiencies for the tracks that experiments quote; nothing without any such track."""
    names = {f"efficiency_selected{kind}": head for kind, head in SELECTED.items()}
    found, tracks = {name: means(task, name) for name in names}, means(task, "efficiency_selected_tracks")
    if not tracks:
        return []
    body: list[list[object]] = []
    for key, count in tracks.items():
        body.append([key[0], labels(key), int(count.value), *(cell(found[name].get(key)) for name in names)])
    for name, value in task.published.selected.items():
        body.append([f"{name} (paper)", "", "", None, value, None])
    caption = (
        "Double-majority efficiency for true tracks with |eta| < 1.1, pT > 1 GeV and at least 20 points. Helix fit: kinematics from the "
        "points of the true track, as public files need; truth: from the particles of the simulation; from the beam line: of these, "
        f"particles made within 2 cm of it (nuclei from the calorimeter pass the cuts, too).{paper(task, task.published.note)}"
    )
    head = ["system", "labels", "tracks (helix fit)", *names.values()]
    name, title = f"table-{task.name}-selected", f"{task.title}, selected tracks"
    return [table(task.view.sheet, name, title, head, body, caption)]
