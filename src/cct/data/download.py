"""Fetches the file of a data source from the cache, the network, a mirror on disk or a Python package.

The cache is `$CCT_CACHE`, or else the user's cache folder, outside every clone. It stores a fetched file as
`<first 12 digits of its sha256>/<file>`, so that two descriptors may use the same file name. The user may also put a
file there, or at plain `<file>`. Every returned file has the right size and sha256.
"""

from __future__ import annotations

import gzip
import importlib.util
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import platformdirs

from cct.data.transfer import Failed, PackedFile, absence, download, length, mismatch, save_chunks
from cct.errors import CCTError
from cct.files import locked, sha256_of_file
from cct.log import redact

if TYPE_CHECKING:
    from cct.data.sources import Source, SourceFile

log = logging.getLogger(__name__)


class DownloadError(CCTError):
    """The file of a data source cannot be fetched, or the cache cannot store it."""


def cache_dir() -> Path:
    """`$CCT_CACHE` if it is set and not empty, else the user's cache folder. The folder is not created here."""
    chosen = os.environ.get("CCT_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("cct")


def fetch_source(source: Source, *, base: Path) -> dict[str, Path]:
    """Find each file of a source in the cache, or fetch it from the first of its addresses that has it.

    Args:
        source: the descriptor.
        base: the folder in which relative paths in `urls` start.

    Returns:
        Paths in the cache by the roles of the files.

    Raises:
        DownloadError: as `fetch_file`.
    """
    return {role: fetch_file(wanted, base=base) for role, wanted in source.files.items()}


def fetch_file(wanted: SourceFile, *, base: Path) -> Path:
    """Find a file in the cache, or fetch it from the first of its addresses that has it.

    Several processes may call this at once: one fetches, the others wait. A partial download stays as `<file>.part`,
    and the next call resumes it. A .gz file is unpacked where the name of the wanted file does not end with .gz.

    Args:
        wanted: the file as its descriptor has it.
        base: the folder in which relative paths in `wanted.urls` start.

    Returns:
        Path of the file in the cache; its size and sha256 were checked in this call.

    Raises:
        DownloadError: no address gave the file (each is named with its reason), or the cache cannot be written.
    """
    folder = cache_dir()
    stored, by_hand = folder / wanted.sha256[:12] / wanted.file, folder / wanted.file
    try:
        for path in (stored, by_hand):  # before any write, so that a read-only cache works
            if not os.path.lexists(path):
                continue
            if not (why := mismatch(path, wanted)):
                log.info(f"{wanted.file}: found in the cache ({path})")
                return path
            if path == by_hand:
                log.info(f"{wanted.file}: {path} is not used and left as it is: it {why}")
        stored.parent.mkdir(parents=True, exist_ok=True)
        with locked(
            stored.with_name(f"{stored.name}.lock"),
            waiting=f"{stored.name}: waiting for another process that is fetching it",
        ):
            return _fetch(wanted, base=base, stored=stored, by_hand=by_hand)
    except OSError as error:  # errors of the network and of other files are `Failed` by now
        raise DownloadError(
            f"cannot use the cache folder {folder}: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else "")
            + f"\n{wanted.file} needs {wanted.size / 1e6:.1f} MB in a folder that can be written: "
            "mend this one, or set the environment variable CCT_CACHE to another"
        ) from error


def _fetch(wanted: SourceFile, *, base: Path, stored: Path, by_hand: Path) -> Path:
    if os.path.lexists(stored):
        if not (why := mismatch(stored, wanted)):
            log.info(f"{wanted.file}: found in the cache ({stored})")  # by another process, since the first check
            return stored
        aside = stored.with_name(f"{wanted.file}.rejected-{sha256_of_file(stored)[:8]}")
        os.replace(stored, aside)
        log.info(f"{wanted.file}: {stored} {why}; renamed to {aside.name}")
    part = stored.with_name(f"{wanted.file}.part")
    if length(part) >= wanted.size:  # killed just before the end, or a foreign file
        if not mismatch(part, wanted):
            log.info(f"{wanted.file}: found in the cache (an earlier download, {stored})")
            return _publish(part, stored)
        part.unlink()
    failures = []
    for url in wanted.urls:
        try:
            _fill(part, url, wanted, base=base)
            return _publish(part, stored)
        except Failed as error:
            failures.append(f"{url}: {error}")
            log.info(f"{wanted.file}: not from {failures[-1]}")
    place = stored if os.path.lexists(by_hand) else by_hand
    kept = f" ({length(part) / 1e6:.1f} MB are kept, and it resumes there)" if length(part) else ""
    lines = [
        f"{wanted.file} ({wanted.size / 1e6:.1f} MB) cannot be fetched; tried:",
        *[f"  {failure}" for failure in failures],
        "What to do next, one of:",
        f"  run the same command again later{kept}",
        f"  get the file in any other way and put it at {place}",
        f"    (it must have {wanted.size:,} bytes and sha256 {wanted.sha256})",
        "  run `make demo`, which needs no network",
    ]
    raise DownloadError(redact("\n".join(lines)))


def _fill(part: Path, url: str, wanted: SourceFile, *, base: Path) -> None:
    """Fill `part` from an address. A .gz file is unpacked, unless the wanted file is a .gz file itself."""
    packed = urlsplit(url).path.lower().endswith(".gz") and not wanted.file.lower().endswith(".gz")
    if re.match(r"https?://", url, re.IGNORECASE):
        (_download_packed if packed else download)(url, part, wanted)
    elif not packed:
        _copy(_local(url, base), part, wanted)
    elif why := _unpack(path := _local(url, base), part, wanted):
        raise Failed(f"{path} {why}")


def _copy(path: Path, part: Path, wanted: SourceFile) -> None:
    """Fill `part` from a local file. The file is checked first, so that a wrong file replaces no partial download."""
    if why := mismatch(path, wanted):
        raise Failed(f"{path} {why}")
    save_chunks(_read(path), part, limit=wanted.size)
    if why := mismatch(part, wanted):
        part.unlink()
        raise Failed(f"{path} changed while it was copied: the copy {why}")
    log.info(f"{wanted.file}: copied from {path}")


def _download_packed(url: str, part: Path, wanted: SourceFile) -> None:
    """Fill `part` with the content of a .gz file on a web server."""
    packed = part.with_name(f"{wanted.file}.gz.part")
    # Content that cannot be compressed grows a little.
    limit = wanted.size + wanted.size // 100 + 1000
    download(url, packed, PackedFile(f"{wanted.file}.gz", limit), lambda path: _unpack(path, part, wanted))
    packed.unlink()


def _unpack(path: Path, part: Path, wanted: SourceFile) -> str | None:
    """Fill `part` with the content of a .gz file. Returns what is wrong with it, as the predicate of a sentence."""
    if why := absence(path):
        return why
    unpacked = part.with_name(f"{wanted.file}.unpacked")  # a wrong file replaces no partial download
    try:
        save_chunks(_read(path, gzip.open), unpacked, limit=wanted.size)
        if why := mismatch(unpacked, wanted):
            why = f"is the .gz of a file that {why}"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        why = f"is not a whole .gz file: {error}"
    except Failed as error:
        why = str(error)
    if why:
        unpacked.unlink(missing_ok=True)
        return why
    os.replace(unpacked, part)
    log.info(f"{wanted.file}: unpacked from {path}")
    return None


def _read(path: Path, opener: Callable[..., IO[bytes]] = open) -> Iterator[bytes]:
    try:
        with opener(path, "rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except gzip.BadGzipFile:
        raise
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
