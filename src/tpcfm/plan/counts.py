"""Are there enough events? Said by the plan where it can know, else by the job that merges the event tables, not by a training."""

from collections import Counter
from collections.abc import Mapping

from tpcfm.config.splits import SPLITS, hash_split
from tpcfm.errors import ConfigError
from tpcfm.files import read_json
from tpcfm.plan.table import Dataset, Plan
from tpcfm.workspace import Workspace

COUNTED = 200_000
"""Most simulated events whose splits are drawn one by one; of more, the shares are close enough."""


def require_events(plan: Plan, workspace: Workspace) -> None:
    """Stop if a dataset cannot hold what its runs ask for: those that are ingested or simulated; of others nothing is known yet.

    Raises:
        ConfigError: names label counts above the training split, and splits without events.
    """
    said = []
    for name, dataset in plan.datasets.items():
        manifest = workspace.event_manifest(name)
        splits = read_json(manifest)["splits"] if manifest.is_file() else _simulated(dataset)
        if splits is not None:
            said += shortages(plan, name, splits)
    if said:
        raise ConfigError("\n".join(said))


def shortages(plan: Plan, dataset: str, splits: Mapping[str, int]) -> list[str]:
    """Say what the runs of a plan need of a dataset and its splits do not hold.

    Args:
        plan: the plan.
        dataset: id.
        splits: events of each split.
    """
    runs = [run for run in plan.runs.values() if run.dataset == dataset]
    key, said = plan.datasets[dataset].name, []
    held = ", ".join(f"{splits.get(split, 0)} {split}" for split in SPLITS)
    scored = any(run.stage != "pretrain" and run.task != "coordinates" for run in runs)
    trained = any(run.stage != "probe" for run in runs)
    for split, needed in (("train", bool(runs)), ("validation", trained), ("test", scored)):
        if needed and not splits.get(split, 0):
            said.append(
                f"data.{key}.split: the split {split!r} holds no event ({held}); raise its share, change the seed or bring more events"
            )
    asked = {(run.system, run.task, run.n_labels) for run in runs if run.n_labels and run.n_labels != "all"}
    for system, task, count in sorted(asked):
        if isinstance(count, int) and count > splits.get("train", 0):
            said.append(
                f"systems.{system}: {count} labels of {task} asked for, the training split of data.{key} holds"
                f" {splits.get('train', 0)} events ({held}); lower `labels` (`all` takes what there is) or bring more events"
            )
    return said


def _simulated(dataset: Dataset) -> dict[str, int] | None:
    """Events of each split of a simulation, as the ingest will draw them; None for files."""
    simulate, split = dataset.source["simulate"], dataset.source["split"]
    if not simulate or split["by"] != "hash":
        return None
    each = simulate["events_per_file"]
    if len(dataset.parts) * each > COUNTED:
        sums = {s: sum(dataset.shares(part)[s] for part in dataset.parts) for s in SPLITS}
        return {s: round(each * share) for s, share in sums.items()}
    drawn = (
        hash_split(f"{dataset.name}/{part}/{row}", split["validation"], split["test"], split["seed"])
        for part in dataset.parts
        for row in range(each)
    )
    return dict(Counter(drawn))
