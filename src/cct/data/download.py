"""Fetches the file of a data source from the cache, the network, a mirror on disk or a Python package.

The cache is `$CCT_CACHE`, or else the user's cache folder, outside every clone. It stores a fetched file as
`<first 12 digits of its sha256>/<file>`, so that two descriptors may use the same file name. The user may also put a
file there, or at plain `<file>`. Every returned file has the right size and sha256.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import url2pathname

import platformdirs
from filelock import FileLock, Timeout

from cct.data.transfer import Failed, download, length, mismatch, save_chunks
from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.log import redact

if TYPE_CHECKING:
    from cct.data.sources import Source

log = logging.getLogger(__name__)


class DownloadError(CCTError):
    """The file of a data source cannot be fetched, or the cache cannot store it."""


def cache_dir() -> Path:
    """`$CCT_CACHE` if it is set and not empty, else the user's cache folder. The folder is not created here."""
    chosen = os.environ.get("CCT_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("cct")


def fetch_source(source: Source, *, base: Path) -> Path:
    """Find the file of a source in the cache, or fetch it from the first of its addresses that has it.

    Several processes may call this at once: one fetches, the others wait. A partial download stays as `<file>.part`,
    and the next call resumes it.

    Args:
        source: the descriptor.
        base: the folder in which relative paths in `source.urls` start.

    Returns:
        Path of the file in the cache; its size and sha256 were checked in this call.

    Raises:
        DownloadError: no address gave the file (each is named with its reason), or the cache cannot be written.
    """
    folder = cache_dir()
    stored, by_hand = folder / source.sha256[:12] / source.file, folder / source.file
    try:
        for path in (stored, by_hand):  # before any write, so that a read-only cache works
            if not os.path.lexists(path):
                continue
            if not (why := mismatch(path, source)):
                log.info(f"{source.file}: found in the cache ({path})")
                return path
            if path == by_hand:
                log.info(f"{source.file}: {path} is not used and left as it is: it {why}")
        stored.parent.mkdir(parents=True, exist_ok=True)
        with _locked(stored):
            return _fetch(source, base=base, stored=stored, by_hand=by_hand)
    except OSError as error:  # errors of the network and of other files are `Failed` by now
        raise DownloadError(
            f"cannot use the cache folder {folder}: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else "")
            + f"\n{source.file} needs {source.size / 1e6:.1f} MB in a folder that can be written: "
            "mend this one, or set the environment variable CCT_CACHE to another"
        ) from error


def _fetch(source: Source, *, base: Path, stored: Path, by_hand: Path) -> Path:
    if os.path.lexists(stored):
        if not (why := mismatch(stored, source)):
            log.info(f"{source.file}: found in the cache ({stored})")  # by another process, since the first check
            return stored
        aside = stored.with_name(f"{source.file}.rejected-{sha256_of_file(stored)[:8]}")
        os.replace(stored, aside)
        log.info(f"{source.file}: {stored} {why}; renamed to {aside.name}")
    part = stored.with_name(f"{source.file}.part")
    if length(part) >= source.size:  # killed just before the end, or a foreign file
        if not mismatch(part, source):
            log.info(f"{source.file}: found in the cache (an earlier download, {stored})")
            return _publish(part, stored)
        part.unlink()
    failures = []
    for url in source.urls:
        try:
            if re.match(r"https?://", url, re.IGNORECASE):
                download(url, part, source)
            else:
                _copy(_local(url, base), part, source)
            return _publish(part, stored)
        except Failed as error:
            failures.append(f"{url}: {error}")
            log.info(f"{source.file}: not from {failures[-1]}")
    place = stored if os.path.lexists(by_hand) else by_hand
    kept = f" ({length(part) / 1e6:.1f} MB are kept, and it resumes there)" if length(part) else ""
    lines = [
        f"{source.file} ({source.size / 1e6:.1f} MB) cannot be fetched; tried:",
        *[f"  {failure}" for failure in failures],
        "What to do next, one of:",
        f"  run the same command again later{kept}",
        f"  get the file in any other way and put it at {place}",
        f"    (it must have {source.size:,} bytes and sha256 {source.sha256})",
        "  run `make demo`, which needs no network",
    ]
    raise DownloadError(redact("\n".join(lines)))


def _copy(path: Path, part: Path, source: Source) -> None:
    """Fill `part` from a local file. The file is checked first, so that a wrong file replaces no partial download."""
    if why := mismatch(path, source):
        raise Failed(f"{path} {why}")
    save_chunks(_read(path), part, source, start=0)
    if why := mismatch(part, source):
        part.unlink()
        raise Failed(f"{path} changed while it was copied: the copy {why}")
    log.info(f"{source.file}: copied from {path}")


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from error


def _publish(part: Path, stored: Path) -> Path:
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(part, stored)
    return stored


def _local(url: str, base: Path) -> Path:
    """The local path of an address that is not a web address."""
    if url.startswith("package:"):
        return _in_package(url.removeprefix("package:"))
    scheme, mark, rest = url.partition("://")
    if mark and scheme.lower() != "file":
        raise Failed(f"unknown kind of address {scheme}://; valid: http://, https://, file://, package: or a path")
    if mark:
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise Failed("has a host name: write file:///path for a file on this machine")
        return Path(url2pathname(f"/{path}"))
    try:
        return (base / Path(url).expanduser()).absolute()
    except RuntimeError as error:  # no such user
        raise Failed(str(error)) from error


def _in_package(address: str) -> Path:
    """The path of `name/folder/file` in the installed package `name`, which is found but not imported."""
    name, *parts = address.split("/")
    if not name.isidentifier() or not parts or any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise Failed("must be package:<name of an installed package>/<path in it>, without '..'")
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that is loaded without a spec
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        raise Failed(f"the Python package {name} is not installed")
    paths = [Path(folder).joinpath(*parts) for folder in spec.submodule_search_locations]
    return next((path for path in paths if path.is_file()), Path(*paths[:1]))


@contextlib.contextmanager
def _locked(stored: Path) -> Iterator[None]:
    lock = FileLock(f"{stored}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info(f"{stored.name}: waiting for another process that is fetching it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
