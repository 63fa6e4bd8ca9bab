"""ROOT trees as columns through `uproot`: flat branches and jagged ones."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tpcfm.errors import DataError, MachineError
from tpcfm.readers.columns.source import Chunk, Column, Source, Values, native
from tpcfm.readers.ragged import Ragged, offsets_of

STEP = "16 MB"


class RootSource:
    """Branches of one tree."""

    form = "ROOT"

    def __init__(self, path: Path, tree: Any) -> None:
        self.path, self.tree = path, tree
        self.unreadable: dict[str, str] = {}
        self.columns: dict[str, Column] = {}
        for name, kind in tree.typenames().items():
            known = _column(kind)
            if known is None:
                self.unreadable[name] = f"{path}: branch {name!r} holds {kind}, which is not read"
            else:
                self.columns[name] = known

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield all entries."""
        try:
            for start in self.tree.iterate(list(names), step_size=STEP, library="ak"):
                yield Chunk({name: self._values(name, start[name]) for name in names})
        except Exception as error:  # uproot raises many kinds on damaged files
            raise DataError(f"{self.path}: cannot be read: {error}") from error

    def _values(self, name: str, array: Any) -> Values:
        import awkward

        if self.columns[name].kind == "U":
            return np.array(awkward.to_list(array), object)
        if not self.columns[name].lists:
            return native(awkward.to_numpy(array))
        lengths = awkward.to_numpy(awkward.num(array, axis=1))
        return Ragged(offsets_of(lengths), native(awkward.to_numpy(awkward.flatten(array, axis=1))))


def _column(kind: str) -> Column | None:
    """Return what a C++ type is, None for what is neither numbers, text nor lists of numbers."""
    plain = re.sub(r"std::|ROOT::VecOps::|const |\[.*\]$", "", kind).strip()
    inner = re.fullmatch(r"(?:vector|RVec)<([^<>]*)>", plain)
    lists, plain = inner is not None or kind.endswith("]"), inner.group(1).strip() if inner else plain
    if plain in ("string", "TString", "char*"):
        return None if lists else Column("U")
    for kinds, letter in (("float|double|Float_t|Double_t|Double32_t", "f"), ("bool|Bool_t", "b"), ("u.*|U.*", "u")):
        if re.fullmatch(kinds, plain):
            return Column(letter, lists)
    return (
        Column("i", lists)
        if re.fullmatch(r"(signed |long )?(int|long|short|char|Int|Long|Short|Char)\w*", plain)
        else None
    )


@contextmanager
def open_file(path: Path, table: str | None) -> Iterator[Source]:
    """Open a ROOT file.

    Raises:
        MachineError: `uproot` is not installed.
        DataError: damaged, no such tree, or several and none named.
    """
    try:
        import uproot
    except ImportError as error:
        raise MachineError(f"{path}: reading ROOT files needs uproot: pip install 'tpcfm[root]'") from error
    try:
        file = uproot.open(path)
    except Exception as error:  # uproot raises many kinds on damaged files
        raise DataError(f"{path}: not a readable ROOT file: {error}") from error
    with file:
        try:
            kinds = file.classnames(cycle=False)
        except Exception as error:
            raise DataError(f"{path}: not a readable ROOT file: {error}") from error
        trees = [name for name, kind in kinds.items() if kind.startswith(("TTree", "TNtuple", "ROOT::RNTuple"))]
        if table is None and len(trees) != 1:
            raise DataError(f"{path}: holds the trees {', '.join(trees) or '(none)'}; say which: read.table")
        if table is not None and table not in trees:
            raise DataError(f"{path}: read.table: no tree {table!r}; there are {', '.join(trees) or 'none'}")
        try:
            source = RootSource(path, file[table or trees[0]])
        except Exception as error:
            raise DataError(f"{path}: tree {table or trees[0]!r} cannot be read: {error}") from error
        yield source
