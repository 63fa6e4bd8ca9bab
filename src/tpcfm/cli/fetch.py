"""``tpcfm fetch``: download the public datasets, whole or in part."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tpcfm.release.fetch import Item

app = typer.Typer(no_args_is_help=True, help="Download the public datasets, whole or in part; run again, it continues.")

Shards = Annotated[str, typer.Option(help="Which files of each split, e.g. 0,3,10-12; default all.")]
BaseUrl = Annotated[str, typer.Option(help="A mirror instead of the published server.")]
Listing = Annotated[bool, typer.Option("--list", help="Only list the files and their sizes.")]


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
    revision: Annotated[str, typer.Option(help="v1 (no test split), v2, v3, or a commit.")] = "v2",
    mini: Annotated[bool, typer.Option("--mini", help="The sample of 120 events instead of the 168 GB.")] = False,
    base_url: BaseUrl = "",
    only_list: Listing = False,
) -> None:
    """PILArNet-M (liquid argon; about 168 GB) from Hugging Face."""
    from tpcfm.release.fetch import HUGGING_FACE, parse_shards, pilarnet_items

    _fetch(pilarnet_items(split or (), parse_shards(shards), revision, mini, base_url or HUGGING_FACE), to, only_list)


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
) -> None:
    """TPCpp-10M (collider; labelled part about 1 GB of 118 GB) from Zenodo."""
    from tpcfm.release.fetch import ZENODO, parse_shards, tpcpp_items

    _fetch(tpcpp_items(split or (), parse_shards(shards), base_url or ZENODO), to, only_list)


@app.command()
def member(
    release: Annotated[str, typer.Argument(help="pilarnet or tpcpp.")],
    name: Annotated[str, typer.Argument(help="Path inside the release, e.g. labeled/train/spacepoints_000.npz.")],
    out: Annotated[Path, typer.Option(help="Where it goes; ends in the path inside the release.")],
    revision: Annotated[str, typer.Option(help="Revision of PILArNet-M: v1, v2, v3, or a commit.")] = "v1",
    base_url: BaseUrl = "",
) -> None:
    """One file of a release, as the workflow asks for it; labels of the collider come with their spacepoints."""
    from tpcfm.errors import ConfigError
    from tpcfm.release.fetch import member_items

    if not out.as_posix().endswith(name):
        raise ConfigError(f"--out {out}: must end in the path inside the release, {name}")
    folder = out
    for _ in Path(name).parts:
        folder = folder.parent
    _fetch(member_items(release, name, revision, base_url), folder, False)


def _fetch(items: "list[Item]", to: Path, only_list: bool) -> None:
    from tqdm import tqdm

    from tpcfm.release.fetch import fetch

    total = sum(item.transfer for item in items)
    for item in items if only_list else []:
        print(f"{item.size / 1e6:12.1f} MB  {item.path}")
    print(
        f"{len(items)} files, {total / 1e9:.2f} GB to transfer, {sum(item.size for item in items) / 1e9:.2f} GB on disk"
    )
    if only_list:
        return
    with tqdm(total=total, unit="B", unit_scale=True, disable=None) as bar:
        fetch(
            items,
            to,
            bar.update,
            lambda item, new: bar.write(f"{to / item.path}: {'fetched' if new else 'here already'}"),
        )
