"""Digests, folders, and writes of files: after an interruption, the old or the new file is there."""

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from cct.errors import CCTError

log = logging.getLogger(__name__)


def sha256_of_file(path: Path) -> str:
    """Sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_file_or_folder(path: Path, name: object = None) -> None:
    """Refuse a device or a pipe, which may have no end. A path where nothing is passes.

    Args:
        path: the path.
        name: stands in the message; None is the path.

    Raises:
        CCTError: something else than a plain file or a folder is there.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise CCTError(
            f"{name or path} is neither a plain file nor a folder: remove it, then run dvc checkout or dvc repro"
        )


def make_empty_folder(folder: Path) -> None:
    """Make a folder, or empty it. It may be a link to a folder.

    Raises:
        CCTError: a file has its name, or something in it cannot be removed.
    """
    if folder.exists() and not folder.is_dir():
        raise CCTError(f"{folder} is a file, and must be a folder: remove it, or move it away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise CCTError(f"cannot empty {folder}: {error.filename}: {error.strerror}") from error


def require_writable(*folders: Path) -> None:
    """Make folders, and check before hours of work that they can be written.

    Raises:
        CCTError: a folder cannot be made or written; the message names the first one.
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
    """Write a file completely or not at all, even if the power fails. Its folder is made.

    Raises:
        OSError: the file could not be written; the previous file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # mkstemp would make it unreadable for other users
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
    if hasattr(os, "O_DIRECTORY"):  # the new name is on the disk after its folder is synced
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def locked(path: Path, *, waiting: str) -> Iterator[None]:
    """Hold a lock file. While another process holds it, log `waiting` once and wait."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s", waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock file unless another process does. Whether it is held here is the value."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def remove_lock(path: Path) -> None:
    """Remove a lock file that this process holds. A process that waits for it makes a new one (filelock sees to it)."""
    with contextlib.suppress(OSError):  # Windows keeps an open file
        path.unlink()
