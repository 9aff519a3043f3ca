"""How files are written so that a break at any moment leaves the old or the new one."""

import contextlib
import hashlib
import os
import time
from pathlib import Path

from cct.errors import CCTError


def sha256_of_file(path: Path) -> str:
    """Sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_writable(*folders: Path) -> None:
    """Make folders, and find out now, not after hours of work, that nothing can be written there.

    Raises:
        CCTError: the first that cannot be made or written.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise CCTError(f"cannot write into {folder}/: {error.strerror}") from error


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file that is there whole or not at all, even if the power fails, and make its folder.

    Raises:
        OSError: it could not be written; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # not mkstemp's, which nobody else may read
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name is on the disk when its folder is
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Log:
    """Says lines on stdout, and adds them with the time to a file that outlives the terminal and DVC's folders.

    Args:
        folder: where the file is.
        name: of the run; runs of one name share a file.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name.replace('/', '-')}.log"

    def __call__(self, line: str) -> None:
        print(line)
        with contextlib.suppress(OSError):  # a full disk must not cost a run
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")
