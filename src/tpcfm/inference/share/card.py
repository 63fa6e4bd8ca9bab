"""The model card of a published model: data, training, scores with intervals, limits, licence, citation, how to load. Imports no torch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.files import read_json
from tpcfm.train.model_files import CARD, RUN

_ARXIV = re.compile(r"\b\d{4}\.\d{5}\b")
_BINNED = re.compile(r"_pt_|_calibrated|_selected")


def model_card(folder: Path, config: Mapping[str, Any], detector: Detector, name: str, licence: str) -> str:
    """Return the card in Markdown, with the header that Hugging Face reads.

    Args:
        folder: model directory; its own card, ``run.json`` and ``metrics.parquet`` are read where they are there.
        config: its ``config.json``.
        detector: of the model.
        name: what it is loaded by: ``hf:<owner>/<name>``, or a folder.
        licence: of the weights, an identifier as Hugging Face knows it.
    """
    own = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
    record = read_json(folder / RUN) if (folder / RUN).is_file() else {}
    scores = _scores(folder / "metrics.parquet")
    title, method = _own(own, config)
    papers = sorted(set(_ARXIV.findall(f"{own} {record.get('run', {}).get('config', '')}")))
    labels = _labels(config)
    return (
        "\n\n".join(
            part
            for part in (
                _header(title, config, detector, papers, licence, labels),
                f"# {title}\n\n{method}",
                _use(name, detector, labels),
                _data(record, detector),
                _training(record),
                _score_tables(scores),
                _limits(record, detector, scores),
                f"## Licence\n\n`{licence}` (weights); the software is Apache-2.0. The data the model was trained on have terms of their own.",
                _citation(papers),
            )
            if part
        ).rstrip("\n")
        + "\n"
    )


def _labels(config: Mapping[str, Any]) -> list[str]:
    return (
        list(config["adapter"]["outputs"])
        if "adapter" in config
        else [str(config["label"])]
        if "label" in config
        else []
    )


def _own(card: str, config: Mapping[str, Any]) -> tuple[str, str]:
    """Return title and description of the card that the training wrote."""
    head, _, rest = card.partition("\n")
    title = head.removeprefix("# ").strip() or f"tpcfm model of architecture {config['architecture']}"
    return title, rest.partition("\n|")[0].strip()


def _header(
    title: str, config: Mapping[str, Any], detector: Detector, papers: list[str], licence: str, labels: list[str]
) -> str:
    tags = ["tpcfm", "physics", "time-projection-chamber", "point-cloud", config["architecture"], detector.name]
    values = {
        "license": licence,
        "library_name": "tpcfm",
        "tags": [*dict.fromkeys([*tags, *labels, *(f"arxiv:{paper}" for paper in papers)])],
        "model_name": title,
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _use(name: str, detector: Detector, labels: list[str]) -> str:
    columns = ", ".join(f"{axis} [{detector.coordinates.unit}]" for axis in "xyz")
    columns += "".join(f", {signal.name} [{signal.unit}]" for signal in detector.signal)
    does, call = ("predict", f'found["{labels[0]}"]') if labels else ("embed", "found.features")
    return f"""## How to load

```python
import tpcfm  # pip install tpcfm

model = tpcfm.load("{name}")
found = model.{does}(points)  # one event: (N, {3 + len(detector.signal)}) array of {columns}
{call}
```

or for whole files `tpcfm {does} {name} FILE… --out DIR`. Loading reads JSON and safetensors alone; nothing is unpickled.
{"It predicts " + _described(labels, detector) if labels else "It predicts no label: its features are for heads of your own."}"""


def _described(labels: list[str], detector: Detector) -> str:
    said = []
    for label in labels:
        kind = detector.labels[label]
        if isinstance(kind, ClassLabel):
            said.append(f"`{label}` (classes: {', '.join(f'{v} {c.name}' for v, c in kind.classes.items())})")
        else:
            said.append(f"`{label}` (an object per point)")
    return "; ".join(said) + "."


def _data(record: Mapping[str, Any], detector: Detector) -> str:
    run = record.get("run", {})
    lines = [
        f"Events of the detector **{detector.name}** ({detector.title})."
        if detector.title
        else f"Events of the detector **{detector.name}**."
    ]
    if run.get("dataset"):
        lines.append(
            f"Dataset `{run['dataset']}`, prepared as `{run['cache']}`, fingerprint `{str(record.get('data', ''))[:16]}`."
        )
    if "imported" in record:
        lines.append(f"Weights imported: {record['imported']}.")
    if run.get("pretrained"):
        lines.append(f"Starts from the pretrained run `{run['pretrained']}`.")
    if run.get("n_labels"):
        lines.append(f"Labelled events trained on: {run['n_labels']}.")
    return "## Data\n\n" + " ".join(lines)


def _training(record: Mapping[str, Any]) -> str:
    run = record.get("run", {})
    if not run:
        return ""
    train = {k: v for k, v in (run.get("config", {}).get("train") or {}).items() if not isinstance(v, Mapping)}
    versions = ", ".join(f"{name} {value}" for name, value in record.get("versions", {}).items())
    where = (
        ", ".join(record.get("hardware", {}).get("gpus", []))
        or f"{record.get('hardware', {}).get('cpus', '?')} CPU cores"
    )
    took = f", {record['seconds']:.0f} s" if isinstance(record.get("seconds"), int | float) else ""
    listed = "".join(f"\n| {name} | {value} |" for name, value in train.items())
    table = f"\n\n| setting | |\n|---|---|{listed}" if listed else ""
    return f"## Training\n\nRecipe `{run.get('recipe')}`, seed {run.get('seed')}, on {where}{took} ({versions}).{table}"


def _scores(path: Path) -> pd.DataFrame:
    """Return the rows of the test split that measure the model, one per task, metric and class."""
    if not path.is_file():
        return pd.DataFrame()
    rows = pd.read_parquet(path)
    return rows[(rows["split"] == "test") & rows["low"].notna() & ~rows["metric"].str.contains(_BINNED)]


def _score_tables(scores: pd.DataFrame) -> str:
    if scores.empty:
        return "## Scores\n\nNone on record."
    rows = "\n".join(
        f"| {r.task} | {r.metric} | {r.part or 'all'} | {r.value:.4g} | {r.low:.4g} to {r.high:.4g} |"
        for r in scores.rename(columns={"class": "part"}).to_records(index=False)
    )
    return f"""## Scores

On the test events of the same dataset; intervals are 95 %, events resampled (they hold nothing of how another seed would train).

| task | score | class | value | 95 % interval |
|---|---|---|---|---|
{rows}"""


def _limits(record: Mapping[str, Any], detector: Detector, scores: pd.DataFrame) -> str:
    volume = ", ".join(f"{axis} {low:g} to {high:g}" for axis, (low, high) in detector.limits().items())
    lines = [f"It takes events of {detector.name} alone: points within {volume} ({detector.coordinates.unit}), "
             "signals in the unit and scale of the training events. Events outside get no answer."]  # fmt: skip
    if removed := [
        f"{n}: {', '.join(label.classes[v].name for v in label.removed)}"
        for n, label in detector.classes().items()
        if label.removed
    ]:
        lines.append(
            f"Points of these classes were cut out in training and evaluation ({'; '.join(removed)}); "
            "without that label they get an answer that was never tested."
        )
    lines.append(
        "Other detector settings, simulations or beam conditions were not tested: score it on events of your own first (`tpcfm score`)."
    )
    seeds = scores["seed"].nunique() if not scores.empty else 0
    if seeds == 1:
        lines.append("One training seed.")
    if record.get("revision", {}).get("dirty"):
        lines.append("Trained from a checkout with changes that were not committed.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _citation(papers: list[str]) -> str:
    listed = "".join(f"\n- arXiv:{paper}" for paper in papers)
    return f"## Citation\n\nCite tpcfm (`CITATION.cff` of the software){' and the papers of the method:' if papers else '.'}{listed}"
