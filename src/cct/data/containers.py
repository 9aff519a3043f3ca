"""Where the files of a data source are: a folder, a zip or a tar archive."""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from cct.data.archives import ARCHIVE_SUFFIXES, TAR_OPENERS, ZIP_SUFFIXES, Tar, Zip
from cct.data.arrays import DataError
from cct.data.params import DESCRIPTOR_SUFFIXES
from cct.data.plain_files import File, size_and_time
from cct.data.tables import READERS


class Container(Protocol):
    """A folder or an archive.

    Attributes:
        path: the folder or the archive.
        where: the file or folder that errors name.
    """

    path: Path
    where: Path

    def identity(self, names: Sequence[str]) -> list[Any]:
        """JSON values that change when the files with these names change: names, sizes and times."""

    def names(self) -> list[str]:
        """The names of all plain files, with slashes, in the order in which `files` reads them.

        Raises:
            DataError: the container cannot be read, is damaged, or has a name or member that is not allowed.
        """

    def iter_names(self) -> Iterator[str]:
        """The same names one by one. Whoever needs only some need not wait for the end of an archive.

        Raises:
            DataError: as `names`.
        """

    def files(self, wanted: Collection[str]) -> Iterator[File]:
        """The wanted files, in the order of `names`.

        Raises:
            DataError: as `names`.
        """


def open_container(path: Path) -> Container:
    """The container at a path: a folder, or an archive with one of `ARCHIVE_SUFFIXES`.

    Raises:
        DataError: it is neither.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if not path.is_file():
        raise DataError(f"{path}: neither a folder nor a plain file")
    name = path.name.lower()
    if name.endswith(ZIP_SUFFIXES):
        return Zip(path)
    for suffix, opener in TAR_OPENERS.items():
        if name.endswith(suffix):
            return Tar(path, opener)
    raise DataError(
        f"{path}: not a folder, an archive ({', '.join(ARCHIVE_SUFFIXES)}), a table of images or texts "
        f"({', '.join(READERS)}) or a descriptor ({', '.join(DESCRIPTOR_SUFFIXES)})"
    )


class Folder:
    """A folder. Links are followed, and a link to a folder above itself is not entered again."""

    def __init__(self, path: Path) -> None:
        self.path = self.where = path

    def identity(self, names: Sequence[str]) -> list[Any]:
        return [(name, *size_and_time(self.path / name)) for name in names]

    def names(self) -> list[str]:
        found: list[str] = []
        folders: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]  # each with those above it
        while folders:
            prefix, above = folders.pop()
            folder = self.path / prefix
            try:
                status = os.stat(folder)
                identity = (status.st_dev, status.st_ino)
                if identity in above:
                    continue
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir():
                            folders.append((f"{prefix}{entry.name}/", above | {identity}))
                        else:
                            found.append(prefix + entry.name)
            except OSError as error:
                raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
        return sorted(found)

    def iter_names(self) -> Iterator[str]:
        return iter(self.names())

    def files(self, wanted: Collection[str]) -> Iterator[File]:
        return (File(name, self.path / name) for name in sorted(wanted))


class FilesOfManifest(Folder):
    """The files that a manifest names, relative to its folder. Errors name the manifest."""

    def __init__(self, manifest: Path, listed: Sequence[str]) -> None:
        super().__init__(manifest.parent)
        self.where, self.listed = manifest, listed

    def names(self) -> list[str]:
        return sorted(self.listed)
