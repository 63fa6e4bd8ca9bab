"""The list of the files of a public release with sizes and checksums: written once from its listing, compared at every fetch."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError

from tpcfm.config.base import Block
from tpcfm.config.text import explain
from tpcfm.errors import ConfigError, DataError
from tpcfm.files import read_json, short_hash, write_json

FOLDER = Path("workflow/releases")


class Archive(Block):
    """An archive as the record of the release lists it."""

    size: int = Field(gt=0, description="bytes")
    checksum: str = Field("", description="as the record gives it, such as md5:…; empty if it gives none")


class LockedFile(Block):
    """One file of a release: whole on a server (``sha256``), or a member of an archive (``archive`` and what follows)."""

    path: str = Field(description="inside the release")
    size: int = Field(ge=0, description="bytes on disk")
    sha256: str | None = None
    archive: str = ""
    member: str = Field("", description="name in the archive")
    offset: int = Field(0, description="of its header in the archive")
    packed: int = Field(0, description="bytes in the archive")
    crc32: int = 0
    method: int = Field(0, description="of compression, as zip archives number them")
    flags: int = 0


class Lock(Block):
    """What a release holds. Where it was listed is not part of it, so a mirror has the same list."""

    release: str
    revision: str
    archives: dict[str, Archive] = Field(default_factory=dict)
    files: list[LockedFile] = Field(min_length=1)

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that a pattern matches (``*`` stays within a folder), in order."""
        depth = pattern.count("/")
        return [f.path for f in self.files if f.path.count("/") == depth and fnmatchcase(f.path, pattern)]

    def fingerprint(self, paths: Iterable[str]) -> str:
        """Return a hash of sizes and checksums of all files in the folders of some paths: labels lie beside their points."""
        folders = {str(PurePosixPath(path).parent) for path in paths}
        held = [f for f in self.files if str(PurePosixPath(f.path).parent) in folders]
        return short_hash(sorted([f.path, f.size, f.sha256, f.crc32] for f in held), 16)

    def write(self, path: Path) -> bool:
        """Write the list, or compare it with the one that is there.

        Returns:
            Whether it was written.

        Raises:
            DataError: the list that is there is another one.
        """
        if not path.exists():
            write_json(path, self.model_dump(mode="json", exclude_defaults=True))
            return True
        if said := read_lock(path).differences(self):
            more = f" and {len(said) - 5} more" if len(said) > 5 else ""
            raise DataError(
                f"{path}: the release is not what it was when this list was written: {'; '.join(said[:5])}{more}."
                " Remove the list to take up the release as it is now; datasets made of it get new ids"
            )
        return False

    def differences(self, other: "Lock") -> list[str]:
        """Say what another list holds differently."""
        here, there = ({f.path: f for f in lock.files} for lock in (self, other))
        said = [f"{path} is gone" for path in here if path not in there]
        said += [f"{path} is new" for path in there if path not in here]
        for path in here:
            if path in there and here[path] != there[path]:
                names = [n for n in LockedFile.model_fields if getattr(here[path], n) != getattr(there[path], n)]
                said.append(f"{path} has another {', '.join(names)}")
        said += [f"{name} has another size or checksum" for name, held in self.archives.items()
                 if other.archives.get(name, held) != held]  # fmt: skip
        return said


def default_lock(release: str, revision: str) -> Path:
    """Return where the list of a release lies unless the configuration says otherwise."""
    return FOLDER / f"{release}-{revision}.json".replace("/", "_")


def read_lock(path: Path) -> Lock:
    """Read a list.

    Raises:
        ConfigError: it is none.
        DataError: no such file, or not JSON.
    """
    try:
        return Lock.model_validate(read_json(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: not a list of the files of a release:\n{explain(error, Lock)}") from error
