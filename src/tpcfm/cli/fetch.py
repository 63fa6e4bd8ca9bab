"""``tpcfm fetch``: download the public datasets, whole or in part, and keep the list of what they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tpcfm.config.lock import Lock
    from tpcfm.release.fetch import Item

app = typer.Typer(no_args_is_help=True, help="Download the public datasets, whole or in part; run again, it continues.")

Shards = Annotated[str, typer.Option(help="Which files of each split, e.g. 0,3,10-12; default all.")]
BaseUrl = Annotated[str, typer.Option(help="A mirror instead of the published server.")]
Listing = Annotated[
    bool, typer.Option("--list", help="Fetch nothing: list the files, and write the list with sizes and checksums.")
]
LockFile = Annotated[
    Path | None,
    typer.Option(help="The list that --list writes once and fetches are checked against [workflow/releases/...json]."),
]


@app.callback()
def _root() -> None:
    pass


@app.command()
def pilarnet(
    split: Annotated[
        list[str] | None, typer.Option(help="train, validation or test; may be repeated; default all.")
    ] = None,
    shards: Shards = "",
    to: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("data/pilarnet_m"),
    revision: Annotated[str, typer.Option(help="v1 (the paper's, no test split), v2, v3, or a commit.")] = "v1",
    mini: Annotated[
        bool, typer.Option("--mini", help="The sample of 120 events (v2, v3) instead of the 156 GB.")
    ] = False,
    base_url: BaseUrl = "",
    only_list: Listing = False,
    lock: LockFile = None,
) -> None:
    """PILArNet-M (liquid argon; v1 about 156 GB) from Hugging Face."""
    if mini and revision == "v1":
        revision = "v2"
    _release("pilarnet", revision, mini, split or [], shards, to, base_url, only_list, lock)


@app.command()
def tpcpp(
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, validation, test or unlabeled; may be repeated; default the three labelled ones."),
    ] = None,
    shards: Shards = "",
    to: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("data/tpcpp_10m"),
    base_url: BaseUrl = "",
    only_list: Listing = False,
    lock: LockFile = None,
) -> None:
    """TPCpp-10M (collider; labelled part about 1 GB of 118 GB) from Zenodo."""
    _release("tpcpp", "v1", False, split or [], shards, to, base_url, only_list, lock)


@app.command()
def member(
    release: Annotated[str, typer.Argument(help="pilarnet or tpcpp.")],
    name: Annotated[str, typer.Argument(help="Path inside the release, e.g. labeled/train/spacepoints_000.npz.")],
    out: Annotated[Path, typer.Option(help="Where it goes; ends in the path inside the release.")],
    revision: Annotated[str, typer.Option(help="Revision of PILArNet-M: v1, v2, v3, or a commit.")] = "v1",
    base_url: BaseUrl = "",
    lock: LockFile = None,
) -> None:
    """One file of a release, as the workflow asks for it; labels of the collider come with their spacepoints."""
    from tpcfm.errors import ConfigError
    from tpcfm.release.fetch import member_items

    if not out.as_posix().endswith(name):
        raise ConfigError(f"--out {out}: must end in the path inside the release, {name}")
    folder = out
    for _ in Path(name).parts:
        folder = folder.parent
    held = _lock(release, revision, False, base_url, lock)
    _fetch(member_items(held, name, base_url), folder)


def _release(
    release: str,
    revision: str,
    mini: bool,
    splits: list[str],
    shards: str,
    to: Path,
    base_url: str,
    only_list: bool,
    lock: Path | None,
) -> None:
    from tpcfm.release.fetch import items_of, parse_shards
    from tpcfm.release.listing import listed

    if not only_list:
        held = _lock(release, revision, mini, base_url, lock)
        _fetch(items_of(held, splits, parse_shards(shards), base_url), to)
        return
    found = listed(release, revision, base_url, mini)
    items = items_of(found, splits, parse_shards(shards), base_url)
    for item in items:
        print(f"{item.size / 1e6:12.1f} MB  {item.path}")
    print(_sums(items))
    path = lock or _default(release, revision, mini)
    written = found.write(path)
    print(f"{path}: {'written' if written else 'the release is as listed there'}, {len(found.files)} files")


def _default(release: str, revision: str, mini: bool) -> Path:
    from tpcfm.config.lock import default_lock

    return default_lock(release, f"mini-{revision}" if mini else revision)


def _lock(release: str, revision: str, mini: bool, base_url: str, path: Path | None) -> "Lock":
    """Return the list of a release: the file if there is one (one that is named must be there), else as it is listed now."""
    from tpcfm.config.lock import read_lock
    from tpcfm.release.listing import listed

    place = path or _default(release, revision, mini)
    if path or place.is_file():
        return read_lock(place)
    return listed(release, revision, base_url, mini)


def _sums(items: "list[Item]") -> str:
    transfer, size = sum(item.transfer for item in items), sum(item.size for item in items)
    return f"{len(items)} files, {transfer / 1e9:.2f} GB to transfer, {size / 1e9:.2f} GB on disk"


def _fetch(items: "list[Item]", to: Path) -> None:
    from tqdm import tqdm

    from tpcfm.release.fetch import fetch

    print(_sums(items))
    with tqdm(total=sum(item.transfer for item in items), unit="B", unit_scale=True, disable=None) as bar:
        fetch(
            items,
            to,
            bar.update,
            lambda item, new: bar.write(f"{to / item.path}: {'fetched' if new else 'here already'}"),
        )
