"""Zip and tar archives. Nothing of an archive is written to disk."""

import bz2
import functools
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cct.data.arrays import DataError
from cct.data.images.decoding import MAX_FILE_BYTES
from cct.data.plain_files import File, FileError, require_file_size, size_and_time
from cct.errors import one_line

ZIP_SUFFIXES = (".zip",)
TAR_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".tar": functools.partial(open, mode="rb"),
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}
ARCHIVE_SUFFIXES = (*ZIP_SUFFIXES, *TAR_OPENERS)
# Archives of images unpack to little more than their size. Uncompressed images of one colour reach 1,000 times.
ALWAYS_ALLOWED, LARGEST_RATIO = 4 << 30, 1100  # bytes; unpacked bytes for each byte of the archive
DAMAGED_MEMBER = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, ValueError, RuntimeError
)  # fmt: skip
UTF8_NAME, ENCRYPTED = 0x800, 0x1  # flags of a zip file's member


class Archive:
    """A file with files in it."""

    def __init__(self, path: Path) -> None:
        self.path = self.where = path

    def identity(self, names: Sequence[str]) -> list[Any]:
        return [*names, *size_and_time(self.path)]


class Zip(Archive):
    """A zip file."""

    def names(self) -> list[str]:
        with self._opened() as archive:
            return sorted(self._members(archive))

    def iter_names(self) -> Iterator[str]:
        return iter(self.names())

    def files(self, wanted: Collection[str]) -> Iterator[File]:
        with self._opened() as archive:
            members = self._members(archive)
            for name in sorted(wanted):
                yield File(name, self._read(archive, members[name]))

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise DataError(f"{self.path}: damaged, or not a zip file: {one_line(error)}") from error

    def _members(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        unpacked = 0
        for member in archive.infolist():
            if not member.filename:
                raise DataError(f"{self.path}: damaged: a file has no name")
            if member.is_dir():
                continue
            _require_inside(self.path, name := _zip_name(member))
            name = str(PurePosixPath(name))
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise DataError(f"{self.path}: {_shown(name)} is a link or a device: {_PLAIN_FILES}")
            if member.flag_bits & ENCRYPTED:
                raise DataError(f"{self.path}: {_shown(name)} is encrypted: make the archive without a password")
            if name in members:
                raise DataError(f"{self.path}: {_shown(name)} is in the archive twice")
            members[name] = member
            unpacked += member.file_size
        _require_bounded(self.path, unpacked, _limit(self.path))
        return members

    def _read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | FileError:
        try:
            require_file_size(member.file_size, MAX_FILE_BYTES)
            with archive.open(member) as file:
                return file.read(MAX_FILE_BYTES)
        except FileError as error:
            return error
        except DAMAGED_MEMBER as error:
            return FileError(f"damaged in the archive: {one_line(error)}")


class Tar(Archive):
    """A tar archive, plain or compressed, which is read from start to end."""

    def __init__(self, path: Path, opener: Callable[[Path], Any]) -> None:
        super().__init__(path)
        self.opener = opener

    def names(self) -> list[str]:
        return list(self._names)

    def iter_names(self) -> Iterator[str]:
        return (name for name, _ in self._members())

    @functools.cached_property
    def _names(self) -> dict[str, None]:
        """The names in the order of the archive, which is read once for them."""
        seen: dict[str, None] = {}
        for name, _ in self._members():
            if name in seen:
                raise DataError(f"{self.path}: {_shown(name)} is in the archive twice")
            seen[name] = None
        return seen

    def files(self, wanted: Collection[str]) -> Iterator[File]:
        wanted = set(wanted)
        for name, read in self._members():
            if name in wanted:
                yield File(name, read())

    def _members(self) -> Iterator[tuple[str, Callable[[], bytes | FileError]]]:
        count = 0
        try:
            with self.opener(self.path) as unpacked:
                stream = _Bounded(unpacked, self.path)
                # As a stream, so that a member cannot point backwards. tarfile would not check the CRC or the end.
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    while (member := archive.next()) is not None:
                        archive.members.clear()  # tarfile would keep a million of them
                        count += 1
                        if member.isdir():
                            continue
                        name = str(PurePosixPath(member.name))
                        _require_inside(self.path, member.name)
                        if not member.isreg() or member.issparse():
                            raise DataError(f"{self.path}: {_shown(name)} is a link or a device: {_PLAIN_FILES}")
                        yield name, lambda member=member, archive=archive: _read_member(archive, member)
                while stream.read(1 << 20):
                    pass
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno:
                raise DataError(f"cannot read {self.path}: {error.strerror}") from error
            raise DataError(
                f"{self.path}: damaged after {count:,} members, or not a tar archive: {one_line(error)}"
            ) from error


class _Bounded:
    """Reads an unpacked stream, and raises DataError where it has more bytes than an archive of images can have."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path, self.count, self.limit = file, path, 0, _limit(path)

    def read(self, size: int) -> bytes:
        chunk = self.file.read(size)
        self.count += len(chunk)
        _require_bounded(self.path, self.count, self.limit)
        return chunk


_PLAIN_FILES = (
    "an archive of images may have plain files and folders only (tar --dereference --hard-dereference and zip follow "
    "links)"
)


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | FileError:
    try:
        require_file_size(member.size, MAX_FILE_BYTES)
    except FileError as error:
        return error
    return archive.extractfile(member).read()


def _limit(path: Path) -> int:
    return max(ALWAYS_ALLOWED, LARGEST_RATIO * path.stat().st_size)


def _require_bounded(path: Path, unpacked: int, limit: int) -> None:
    if unpacked > limit:
        raise DataError(
            f"{path}: unpacks to more than {limit:,} bytes, {LARGEST_RATIO:,} times its size: no archive of images does"
        )


def _require_inside(path: Path, name: str) -> None:
    """Refuse absolute names, also on a drive of Windows, and names with `..`.

    They are harmless here, but the archive was made to do harm.
    """
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name):
        raise DataError(
            f"{path}: {_shown(name)} is a name outside of the archive's own folder: make the archive in the folder "
            "above the images, with relative names"
        )


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The name of a member. Some programs write UTF-8 without the flag that says so, or backslashes."""
    name = member.filename.replace("\\", "/")
    if member.flag_bits & UTF8_NAME:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _shown(name: str) -> str:
    return ascii(name[:200])
