"""Section "Representations": token features as colours, attention, reconstruction."""

import pandas as pd

from tpcfm.report.draw.embed import show_picture
from tpcfm.report.draw.networks import attention_picture, feature_picture, reconstruction_picture
from tpcfm.report.draw.style import Item
from tpcfm.report.names import plain, start_rank
from tpcfm.report.sections.features import feature_items
from tpcfm.report.view import View


def representation_items(view: View) -> list[Item]:
    """Return all that was written of what the frozen networks of a system have learned."""
    return [*token_items(view), *attention_items(view), *reconstruction_items(view), *feature_items(view)]


def token_items(view: View) -> list[Item]:
    """Return tokens of one event coloured by their features, one panel per encoder (arXiv 2502.02558, App. D)."""
    study = view.studies.get("probe")
    tables: dict[str, pd.DataFrame] = {}
    for point in study.points if study else []:
        path = view.workspace.run(point.run) / "tokens.parquet"
        if path.exists() and point.value not in tables:
            tables[point.value] = pd.read_parquet(path)
    if not tables:
        return []
    chosen = next(iter(tables.values()))["event_id"].value_counts().index[0]
    shown = {name: tables[name][tables[name]["event_id"] == chosen] for name in sorted(tables, key=start_rank)}
    picture = feature_picture(shown, view.detector)
    caption = (
        f"Event {chosen}. Tokens of the frozen encoder; what a linear map of the position explains is removed, the first three principal "
        "components are red, green and blue. Equal colours mean equal features; compare the pretrained encoders with random weights."
    )
    return [show_picture(view.sheet, picture, "tokens", "What the tokens encode", caption)]


def attention_items(view: View) -> list[Item]:
    """Return the attention of one token per class, a menu of layers and heads, of the last of the known starts (arXiv 2502.02558, Fig. 9)."""
    names = ("attention_tokens", "attention")
    paths = [view.workspace.pictures(view.system) / f"{name}.parquet" for name in names]
    if not all(path.exists() for path in paths):
        return []
    tokens, attention = map(pd.read_parquet, paths)
    start = max(attention["start"].unique(), key=start_rank)
    picture = attention_picture(tokens, attention[attention["start"] == start], view.detector)
    caption = (
        f"Event {tokens['event_id'].iloc[0]}, encoder of {plain(start)}, nothing masked. 1 is what even attention to all "
        f"{len(tokens)} tokens would give. The menu holds every layer and head; {picture.first} has most contrast."
    )
    return [show_picture(view.sheet, picture, f"attention-{start}", "Where a token looks", caption)]


def reconstruction_items(view: View) -> list[Item]:
    """Return one validation event as each masked autoencoder sees and completes it."""
    study, items = view.studies.get("pretrain"), []
    first = {point.value: point.run for point in reversed(study.points)} if study else {}
    for start, run in first.items():
        path = view.workspace.run(run) / "reconstruction.parquet"
        if not path.exists():
            continue
        frame = pd.read_parquet(path)
        event = frame.iloc[int(frame["masked_x"].map(len).argmax())]
        caption = (
            f"Validation event {event['event_id']}, run {run}. Grey: visible points. Of each masked token as many predicted points are "
            "drawn as it has true ones; a point in several tokens is drawn several times."
        )
        title = f"Masked tokens, completed by {plain(start)}"
        columns = {str(name): value for name, value in event.items()}
        picture = reconstruction_picture(columns, view.detector_of(run))
        items.append(show_picture(view.sheet, picture, f"reconstruction-{start}", title, caption))
    return items
