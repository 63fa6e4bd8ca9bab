"""Mutants of one kind of file through its reader, one after another: ``python -m fuzz_worker KIND SEED COUNT FOLDER``. Not a test file.

After each mutant its number goes into ``FOLDER/progress``, so that who watches can tell a hang from work; a finding is a line of JSON on the standard
output; the last line holds the counts. Memory is limited to 2 GiB above what the imports take.
"""

import contextlib
import io
import json
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mutants
from tpcfm.errors import TpcfmError

MEMORY = 2 << 30
SLOW = 20.0
"""Seconds that one small file may take."""


class Wrong(Exception):
    """What was read is not what the file holds."""


class Kind:
    """A kind of file: a valid one, how to spoil it, and what must hold for what is read from it."""

    mutate = staticmethod(mutants.binary)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = self.write(folder)
        self.good = {path: path.read_bytes() for path in self.files}
        self.truth = self.read()

    def write(self, folder: Path) -> list[Path]:
        """Write the valid files; the first is the one that is read."""
        raise NotImplementedError

    def read(self) -> Any:
        """Read them as the package does."""
        raise NotImplementedError

    def compare(self, found: Any, mutant: mutants.Mutant) -> None:
        """Raise Wrong if what was read from a mutant is silently wrong."""

    def spoil(self, rng: np.random.Generator) -> tuple[Path, mutants.Mutant]:
        """Put one mutant in the place of one of the files."""
        path = self.files[int(rng.integers(0, len(self.files)))]
        mutant = self.mutate(self.good[path], rng)
        path.write_bytes(mutant.content)
        return path, mutant

    def restore(self) -> None:
        """Put the valid files back."""
        for path, content in self.good.items():
            path.write_bytes(content)


class Raw(Kind):
    """A raw file of a detector: events by row, and the rejected rows."""

    checked = False
    """Whether the format has checksums: what is read is then the very same."""
    apart = True
    """Whether events lie apart from each other: a change in one place then changes one event, and nothing else."""

    def detector(self) -> Any:
        raise NotImplementedError

    def read(self) -> Any:
        import pyarrow.parquet as pq

        from tpcfm.events.job import ingest_file

        out = self.folder / "out"
        out.mkdir(exist_ok=True)
        try:
            ingest_file(self.files[0], self.detector(), "set", out / "p.parquet", out / "r.parquet", lambda _: "train")
        except TpcfmError:
            if list(out.iterdir()):
                raise Wrong(f"a refused file left {[p.name for p in out.iterdir()]}") from None
            raise
        table, rejected = pq.read_table(out / "p.parquet"), pq.read_table(out / "r.parquet").to_pylist()
        shutil.rmtree(out)
        events = {int(row["event_id"].split("/")[-1]): row for row in table.to_pylist()}
        return events, {row["row"]: row["reason"] for row in rejected}

    def compare(self, found: Any, mutant: mutants.Mutant) -> None:
        (events, rejected), (truth, _) = found, self.truth
        if any(not reason for reason in rejected.values()):
            raise Wrong("an event was rejected without a reason")
        differ = [row for row, event in events.items() if row not in truth or repr(event) != repr(truth[row])]
        if self.checked and differ:
            raise Wrong(f"events {differ[:5]} differ, in a format with checksums")
        if self.apart and mutant.places > 0 and len(differ) > mutant.places:
            raise Wrong(f"{len(differ)} events differ after {mutant.places} changes: {differ[:5]}")


class Pilarnet(Raw):
    columns, extra = 6, 6

    def detector(self) -> Any:
        return "pilarnet"

    def write(self, folder: Path) -> list[Path]:
        from rawfiles import lartpc_event, write_pilarnet

        rng = np.random.default_rng(0)
        events = [lartpc_event(rng, 60, 3, 5) for _ in range(6)]
        return [write_pilarnet(folder / "a.h5", events, self.columns, self.extra)]


class PilarnetV1(Pilarnet):
    columns, extra = 5, None


class Tpcpp(Raw):
    checked = True

    def detector(self) -> Any:
        return "sphenix"

    def write(self, folder: Path) -> list[Path]:
        from rawfiles import collider_shard, write_tpcpp

        first = write_tpcpp(folder, collider_shard(np.random.default_rng(0), 6, 20))
        return [first, *sorted(p for p in folder.glob("*.npz") if p != first)]


class TpcppInside(Tpcpp):
    """Spoilt below the checksums: the arrays inside are changed, then packed again."""

    checked = False

    def spoil(self, rng: np.random.Generator) -> tuple[Path, mutants.Mutant]:
        import zipfile

        path = self.files[int(rng.integers(0, len(self.files)))]
        with zipfile.ZipFile(io.BytesIO(self.good[path])) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = sorted(members)[int(rng.integers(0, len(members)))]
        head = members[name].index(b"\n") + 1
        part = head if rng.random() < 0.4 else len(members[name])  # the header, or all of it
        mutant = self.mutate(members[name][:part], rng)
        members[name] = mutant.content + members[name][part:]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for one, content in members.items():
                archive.writestr(one, content)
        path.write_bytes(packed.getvalue())
        return path, mutants.Mutant(packed.getvalue(), f"inside {name}: {mutant.how}", -1)


class Columns(Raw):
    name, apart = "rows.parquet", False  # compressed, with tables of values that rows share

    def detector(self) -> Any:
        return self._detector

    def write(self, folder: Path) -> list[Path]:
        from columnfiles import detector_for, hits, write_hits
        from tpcfm.detectors.model import Detector

        self._detector = Detector.model_validate(detector_for(self.name))
        return [write_hits(folder, self.name, hits())]


class Csv(Columns):
    name = "rows.csv"
    mutate = staticmethod(mutants.text)


class CsvGz(Columns):
    name, checked = "rows.csv.gz", True


class Feather(Columns):
    name = "rows.feather"


class NpzColumns(Columns):
    name, checked = "rows.npz", True


class H5Columns(Columns):
    name = "rows.h5"


class Root(Columns):
    name = "rows.root"


class Lists(Columns):
    name = "lists.parquet"


class Table(Kind):
    """An event table: `validate` and reading every event."""

    def write(self, folder: Path) -> list[Path]:
        from rawfiles import collider_shard, write_tpcpp
        from tpcfm.events.job import ingest_file

        raw = write_tpcpp(folder / "raw", collider_shard(np.random.default_rng(0), 6, 20))
        ingest_file(raw, "sphenix", "set", folder / "t.parquet", folder / "t.rejected.parquet", lambda _: "train")
        return [folder / "t.parquet"]

    def read(self) -> Any:
        from tpcfm.events.read import read_events
        from tpcfm.events.validate import validate_file

        said = [str(one) for one in validate_file(self.files[0])]
        return said, sum(1 for _ in read_events(self.files[0], ["event_id", "x", "y", "z"]))


class Cache(Kind):
    """A prepared cache: its parts and its manifest."""

    def write(self, folder: Path) -> list[Path]:
        from rawfiles import lartpc_event, write_pilarnet
        from tpcfm.events.job import ingest_file
        from tpcfm.prepare.cache import write_manifest
        from tpcfm.prepare.groups.cache import write_part
        from tpcfm.prepare.groups.settings import TokenizerConfig

        rng = np.random.default_rng(0)
        raw = write_pilarnet(folder / "a.h5", [lartpc_event(rng, 100, 3, 5) for _ in range(5)], 6)
        ingest_file(raw, "pilarnet", "set", folder / "t.parquet", folder / "t.rejected.parquet", lambda _: "train")
        write_part(folder / "t.parquet", folder / "cache/a.arrow", TokenizerConfig(min_points=10))
        write_manifest(folder / "cache", name="a")
        return [folder / "cache/a.arrow", folder / "cache/manifest.json"]

    def read(self) -> Any:
        from tpcfm.prepare.store import PreparedStore

        store = PreparedStore(self.folder / "cache")
        store.verify()
        return [store[row] for row in range(len(store))]


class Configuration(Kind):
    mutate = staticmethod(mutants.text)

    def write(self, folder: Path) -> list[Path]:
        root = Path(__file__).resolve().parents[2]
        for name, source in (("config.yaml", "config.yaml"), ("tiny.yaml", "workflow/scales/tiny.yaml")):
            shutil.copy(root / source, folder / name)
        return [folder / "tiny.yaml", folder / "config.yaml"]

    def read(self) -> Any:
        from tpcfm.systems.registry import load, make_plan

        return len(make_plan(load(self.folder / "config.yaml", self.folder / "tiny.yaml")).runs)


class DetectorFile(Kind):
    mutate = staticmethod(mutants.text)

    def write(self, folder: Path) -> list[Path]:
        import tpcfm.detectors

        for name in ("pilarnet", "sphenix"):
            shutil.copy(Path(tpcfm.detectors.__file__).parent / f"{name}.yaml", folder / f"{name}.yaml")
        return [folder / "pilarnet.yaml", folder / "sphenix.yaml"]

    def read(self) -> Any:
        from tpcfm.detectors.registry import load_detector
        from tpcfm.events.schema import event_schema

        return [len(event_schema(load_detector(str(path)))) for path in self.files]


class Checkpoint(Kind):
    """Checkpoints of a training: what is read is the very same, or refused."""

    def write(self, folder: Path) -> list[Path]:
        import torch

        from tpcfm.train.checkpoint import write

        rng = torch.Generator().manual_seed(0)
        content = {"format": 1, "identity": {"run": "a"}, "step": 3, "model": {"w": torch.randn(40, 40, generator=rng)}}
        write(folder / "checkpoint-000000003.pt", content)
        return [folder / "checkpoint-000000003.pt"]

    def read(self) -> Any:
        from tpcfm.train.checkpoint import read

        found = read(self.files[0])
        return found["identity"], found["step"], found["model"]["w"].numpy().tobytes()

    def compare(self, found: Any, mutant: mutants.Mutant) -> None:
        if found != self.truth:
            raise Wrong("another checkpoint was read")


class Released(Kind):
    """Published checkpoints on their way into a model directory."""

    def write(self, folder: Path) -> list[Path]:
        import torch

        state = {"state_dict": {"a.weight": torch.zeros(8, 8), "a.bias": torch.ones(8)}, "epoch": 3, "callbacks": {}}
        torch.save(state, folder / "model.ckpt")
        return [folder / "model.ckpt"]

    def read(self) -> Any:
        from tpcfm.systems.polar_mae.lightning_file import read_lightning

        with contextlib.suppress(TpcfmError):
            from tpcfm.systems.fm4npp.released import _read

            _read(self.files[0])
        return sorted(read_lightning(self.files[0]))


class Model(Kind):
    """A model directory: its configuration and its weights."""

    def write(self, folder: Path) -> list[Path]:
        from tpcfm.detectors.registry import load_detector
        from tpcfm.models.polar_mae.settings import PolarMaeModel
        from tpcfm.models.polar_mae.token_encoder import TokenEncoder
        from tpcfm.train.model_dir import save_model

        config = PolarMaeModel(width=24, depth=1, heads=2, decoder_depth=1)
        about = {
            "architecture": "token_encoder",
            "model": config.model_dump(mode="json"),
            "tokenizer": {"method": "fps_cnms"},
        }
        about["detector"] = load_detector("pilarnet").model_dump(mode="json", exclude_defaults=True)
        save_model(folder / "model", TokenEncoder(config), config=about, card="", run={}, history=[])
        return [folder / "model/model.safetensors", folder / "model/config.json"]

    def spoil(self, rng: np.random.Generator) -> tuple[Path, mutants.Mutant]:
        path = self.files[int(rng.integers(0, 2))]
        mutant = (mutants.text if path.suffix == ".json" else mutants.binary)(self.good[path], rng)
        path.write_bytes(mutant.content)
        return path, mutant

    def read(self) -> Any:
        from tpcfm.inference.model import load

        return type(load(self.folder / "model", device="cpu")).__name__


class PlanFile(Kind):
    mutate = staticmethod(mutants.text)

    def write(self, folder: Path) -> list[Path]:
        from plans import planned

        plan = planned({"results": str(folder / "results")}, "tiny")
        return [plan.write(folder / "plan")]

    def read(self) -> Any:
        from tpcfm.plan.table import Plan

        return len(Plan.read(self.files[0]).runs)


KINDS: dict[str, Callable[[Path], Kind]] = {
    "pilarnet": Pilarnet, "pilarnet v1": PilarnetV1, "tpcpp": Tpcpp, "tpcpp inside": TpcppInside,
    "parquet": Columns, "lists": Lists, "csv": Csv, "csv.gz": CsvGz, "feather": Feather, "npz": NpzColumns, "hdf5": H5Columns, "root": Root,
    "event table": Table, "cache": Cache, "configuration": Configuration, "detector": DetectorFile,
    "checkpoint": Checkpoint, "released": Released, "model": Model, "plan": PlanFile,
}  # fmt: skip


def main(kind: str, seed: int, begin: int, count: int, folder: Path) -> None:
    """Try mutants ``begin`` to ``count`` of a seed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        made = KINDS[kind](folder)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    counts = {"read": 0, "refused": 0}
    for kind_of in (UserWarning, RuntimeWarning):  # words of the libraries that nobody understands
        warnings.simplefilter("error", kind_of)
    for number in range(begin, count):
        (folder / "progress").write_text(str(number))
        path, mutant = made.spoil(np.random.default_rng([seed, number]))
        found, began = "", time.monotonic()
        try:
            made.compare(made.read(), mutant)
            counts["read"] += 1
        except TpcfmError as error:
            counts["refused"] += 1
            if not any(
                name.name in str(error) or name.stem in str(error) for name in made.files
            ) and path.parent.name not in str(error):
                found = f"names no file: {error}"
        except BaseException as error:  # MemoryError and SystemExit too
            frames = traceback.extract_tb(error.__traceback__)
            own = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "tpcfm" in f.filename]
            found = f"{type(error).__name__}: {str(error)[:300]} ({' '.join(own[-3:])})"
        if time.monotonic() - began > SLOW:
            found += f" took {time.monotonic() - began:.0f} s"
        if found:
            print(
                json.dumps({"kind": kind, "number": number, "how": mutant.how, "file": path.name, "found": found}),
                flush=True,
            )
        made.restore()
        if (folder / "canary").exists():
            print(
                json.dumps(
                    {"kind": kind, "number": number, "how": mutant.how, "file": path.name, "found": "code was run"}
                ),
                flush=True,
            )
            (folder / "canary").unlink()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
