"""Plain files, read whole. Links to nothing, pipes and devices, which may have no end, and large files are refused."""

from pathlib import Path
from typing import NamedTuple

from cct.data.arrays import DataError


class FileError(DataError):
    """A file cannot be used. The message is a predicate without the file's name."""


def read_plain_file(path: Path, *, most: int) -> bytes:
    """The bytes of a plain file.

    Args:
        path: the file, or a link to it.
        most: the largest size that is read, in bytes.

    Raises:
        FileError: it is absent, of another kind, larger, or cannot be read.
    """
    try:
        if not path.is_file():
            raise FileError("not a plain file" if path.exists() else "a broken link" if path.is_symlink() else "absent")
        require_file_size(path.stat().st_size, most)
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror}") from error


def require_file_size(size: int, most: int) -> None:
    """Refuse a file that is too large.

    Raises:
        FileError: it has more than `most` bytes.
    """
    if size > most:
        raise FileError(f"{size:,} bytes, more than {most:,}")


class File(NamedTuple):
    """A file of a folder or an archive: its name there, and its bytes, its path, or why it cannot be read."""

    name: str
    content: bytes | Path | FileError

    def read(self, *, most: int) -> bytes:
        """Its bytes.

        Args:
            most: the largest size that is read, in bytes.

        Raises:
            FileError: it is larger, of another kind than a plain file, or cannot be read.
        """
        if isinstance(self.content, FileError):
            raise self.content
        if isinstance(self.content, Path):
            return read_plain_file(self.content, most=most)
        require_file_size(len(self.content), most)
        return self.content


def size_and_time(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds; 0 and 0 of a broken link."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
