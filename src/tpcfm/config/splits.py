"""Which event belongs to which split: a pure function of the event id and of the folders of the published files."""

from collections.abc import Collection
from pathlib import Path

from tpcfm.errors import DataError
from tpcfm.files import key64

SPLITS = ("train", "validation", "test")
PUBLISHED = {
    "train": "train",
    "training": "train",
    "unlabeled": "train",
    "unlabelled": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}  # folder names of PILArNet-M and TPCpp-10M


def hash_split(event_id: str, validation: float, test: float, seed: int = 0) -> str:
    """Draw the split of an event from its id.

    Args:
        event_id: unique id of the event.
        validation: share of events for validation.
        test: share of events for the test.
        seed: another seed gives another draw.
    """
    draw = key64(event_id, seed) / 2.0**64
    if draw < test:
        return "test"
    return "validation" if draw < test + validation else "train"


def published_split(path: str | Path) -> str:
    """Return the split that the nearest folder of a file's path names.

    Raises:
        DataError: no folder of the path is named after a split.
    """
    if found := folder_split(path):
        return found
    raise DataError(f"{path}: no folder of its path names a published split; allowed: {', '.join(PUBLISHED)}")


def folder_split(path: str | Path) -> str:
    """Return the split that the nearest folder of a file's path names; "" if none does."""
    folders = (PUBLISHED.get(folder.name.lower(), "") for folder in Path(path).resolve().parents)
    return next(filter(None, folders), "")


def published_shares(split: str, present: Collection[str], validation: float, test: float) -> dict[str, float]:
    """Return the share of each split among the events of a published file.

    Where the release lacks a test, its validation files are the test; what is then missing is a hash share of the training
    events.

    Args:
        split: that the folder of the file names.
        present: splits that the folders of all files name.
        validation, test: shares of the training events.
    """
    has_test = "test" in present or "validation" in present
    has_validation = "test" in present and "validation" in present
    if split == "train":
        shares = {"validation": 0.0 if has_validation else validation, "test": 0.0 if has_test else test}
        return {"train": 1 - sum(shares.values()), **shares}
    of = split if "test" in present else "test"
    return {name: float(name == of) for name in SPLITS}


def describe_shares(present: Collection[str], validation: float, test: float) -> str:
    """Say how published files are divided, where they lack a split; "" where they have all three."""
    shares = published_shares("train", present, validation, test)
    if not shares["validation"]:
        return ""
    if shares["test"]:
        what = f"no test or validation files are published: {test:.3g} of the training events are the test"
    elif "test" in present:
        what = "no validation files are published"
    else:
        what = "no test files are published: the validation files are the test"
    return f"{what}, a hash share of {validation:.3g} of the training events is the validation (choices, calibration)"
