"""Fetching the one file of a data source: from the cache, the network, a mirror on disk or a Python package.

The cache is `$CCT_CACHE`, or else a folder of the user's outside every clone. What is fetched is stored there as
`<first 12 digits of its sha256>/<file>`, so that two descriptors whose files share a name do not fight. A file put
there by hand counts, and so does one put at plain `<file>`. Nothing is returned whose size and sha256 are not right.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import url2pathname

import platformdirs
import requests
import tenacity
from filelock import FileLock, Timeout
from tqdm import tqdm
from urllib3.exceptions import HTTPError, ReadTimeoutError

from cct.errors import CCTError, redact
from cct.files import digest

if TYPE_CHECKING:
    from cct.data import Source  # a real import would cost NumPy's start

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # without one byte
ATTEMPTS = 4  # at one URL, in a row, each bringing less than PROGRESS
PROGRESS = 0.01  # share of the file: a line that often breaks is borne, a server that sends a byte a time is not
BACKOFF_S, BACKOFF_MAX_S = 1.0, 30.0  # doubled from the first to the second
RETRY_AFTER_MAX_S = 60.0  # however long a server asks for
LINE_S, LINE_SHARE = 10.0, 0.1  # a line of progress where there is no terminal
CHUNK = 1 << 15  # bytes
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(CCTError):
    """The file of a data source cannot be had, or the cache cannot hold it."""


class _Failed(Exception):
    """One address does not give the file; the next may."""


class _Transient(_Failed):
    """The same address may give the file if asked again, not before `after` seconds."""

    def __init__(self, reason: str, after: float = 0.0):
        super().__init__(reason)
        self.after = after


def cache_dir() -> Path:
    """`$CCT_CACHE` if that is set and not empty, else the user's cache folder; neither is created here."""
    chosen = os.environ.get("CCT_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("cct")


def fetch(source: Source, *, base: Path) -> Path:
    """Find the file of a source in the cache, or else bring it there from the first of its addresses that has it.

    Safe for several processes at once: one fetches, the others wait. A partial download stays as `<file>.part`, and the
    next call goes on from it.

    Args:
        source: the descriptor.
        base: folder that relative paths in `source.urls` start from.

    Returns:
        Path of the file in the cache; its size and sha256 were checked in this call.

    Raises:
        DownloadError: no address gave the file (each is named with its reason), or the cache cannot be written.
    """
    folder = cache_dir()
    stored, by_hand = folder / source.sha256[:12] / source.file, folder / source.file
    try:
        for path in (stored, by_hand):  # before any write, so that a read-only cache serves what it has
            if not os.path.lexists(path):
                continue
            if not (why := _mismatch(path, source)):
                _say(f"{source.file}: found in the cache ({path})")
                return path
            if path == by_hand:
                _say(f"{source.file}: {path} is not used and left as it is: it {why}")
        stored.parent.mkdir(parents=True, exist_ok=True)
        with _locked(stored):
            return _fetch(source, base=base, stored=stored, by_hand=by_hand)
    except OSError as error:  # those of the network and of other files have become reasons by now
        raise DownloadError(
            f"cannot use the cache folder {folder}: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else "")
            + f"\n{source.file} needs {source.size / 1e6:.1f} MB in a folder that can be written: "
            "mend this one, or set the environment variable CCT_CACHE to another"
        ) from error


def _fetch(source: Source, *, base: Path, stored: Path, by_hand: Path) -> Path:
    if os.path.lexists(stored):
        if not (why := _mismatch(stored, source)):
            _say(f"{source.file}: found in the cache ({stored})")  # another process brought it while this one waited
            return stored
        aside = stored.with_name(f"{source.file}.rejected-{digest(stored)[:8]}")
        os.replace(stored, aside)
        _say(f"{source.file}: {stored} {why}; renamed to {aside.name}")
    part = stored.with_name(f"{source.file}.part")
    if _length(part) >= source.size:  # killed just before the end, or not ours
        if not _mismatch(part, source):
            _say(f"{source.file}: found in the cache (an earlier download, {stored})")
            return _publish(part, stored)
        part.unlink()
    failures = []
    for url in source.urls:
        try:
            if re.match(r"https?://", url, re.IGNORECASE):
                _download(url, part, source)
            else:
                _copy(_local(url, base), part, source)
            return _publish(part, stored)
        except _Failed as error:
            failures.append(f"{url}: {error}")
            _say(f"{source.file}: not from {failures[-1]}")
    place = stored if os.path.lexists(by_hand) else by_hand
    kept = f" ({_length(part) / 1e6:.1f} MB are kept, and it goes on from there)" if _length(part) else ""
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


def _download(url: str, part: Path, source: Source) -> None:
    """Complete `part` from a web server: going on from what is there and, if that proves wrong, once from nothing."""
    _say(f"{source.file}: downloading from {url}")
    for last in (False, True):
        transfer = _Transfer(url, part, source)
        transfer.run()
        if not (why := _mismatch(part, source)):
            return
        part.unlink()
        if last or not transfer.resumed:
            raise _Failed(f"sent the wrong file: it {why}")
        _say(f"{source.file}: wrong after a resumed download (it {why}); starting again from the first byte")


class _Transfer:
    """The requests to one URL that fill `part`."""

    def __init__(self, url: str, part: Path, source: Source):
        self.url, self.part, self.source = url, part, source
        self.resumed = False  # whether bytes of more than one response are in `part`
        self.ranged = True  # whether the server may be asked for a range
        self.best, self.idle = _length(part), 0  # bytes; attempts since there was PROGRESS

    def run(self) -> None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Transient),
            stop=lambda _: self.idle >= ATTEMPTS,
            wait=self._wait,
            before_sleep=self._announce,
            reraise=True,
        )
        try:
            retrying(self._attempt)
        except _Transient as error:
            raise _Failed(f"{error}, {ATTEMPTS} times") from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        backoff = min(BACKOFF_S * 2 ** max(self.idle - 1, 0), BACKOFF_MAX_S)
        return max(backoff, min(state.outcome.exception().after, RETRY_AFTER_MAX_S))

    def _announce(self, state: tenacity.RetryCallState) -> None:
        _say(f"{self.source.file}: {state.outcome.exception()}; asking again in {state.next_action.sleep:.0f} s")

    def _attempt(self) -> None:
        try:
            self._request()
            if (have := _length(self.part)) < self.source.size:
                raise _Transient(f"the connection ended after {have:,} of {self.source.size:,} bytes")
        except _Transient:
            have = _length(self.part)
            if have == self.source.size:  # all is here; what broke came after it
                return
            if have - self.best >= PROGRESS * self.source.size:
                self.best, self.idle = have, 0
            else:
                self.idle += 1
            raise

    def _request(self) -> None:
        have = _length(self.part) if self.ranged else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            response = requests.get(self.url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
        except requests.exceptions.SSLError as error:
            raise _Failed(_why(error)) from error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Transient(_why(error)) from error
        except ValueError as error:  # whose text may be a part of the URL, of its password too
            raise _Failed("it, or one that it redirects to, or that of the proxy is not a valid http(s) URL") from error
        except (requests.RequestException, HTTPError) as error:
            raise _Failed(_why(error)) from error
        with response:
            start = self._first_byte(response, have)
            self.resumed = start > 0
            with _progress(self.source, start) as report:
                _save(_received(response), self.part, self.source, start=start, report=report)

    def _first_byte(self, response: requests.Response, have: int) -> int:
        """Judge the head of a response, before a byte of `part` is touched: where in the file does its body begin?"""
        status, start = response.status_code, 0
        if status in TRANSIENT:
            raise _Transient(_http(response), _retry_after(response))
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            self.ranged = False
            raise _Transient(f"{_http(response)} when asked to go on from byte {have:,}")
        if status == HTTPStatus.PARTIAL_CONTENT:
            answered = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
            start, total = (int(answered[1]), answered[2]) if answered else (-1, "*")
        elif status == HTTPStatus.OK:
            total = response.headers.get("Content-Length", "*").strip()
        else:
            raise _Failed(_http(response))
        if total.isdecimal() and int(total) != self.source.size:
            raise _Failed(f"offers {int(total):,} bytes, expected {self.source.size:,}")
        if start not in (0, have) or (start == 0 and have and status == HTTPStatus.PARTIAL_CONTENT):
            self.ranged = False
            raise _Transient(f"answered with another range than asked for, from byte {have:,}")
        return start


def _received(response: requests.Response) -> Iterator[bytes]:
    """The body's bytes as they come (`read` would lose the start of a chunk whose end does not) and as they were sent.

    A .gz file that a server labels "Content-Encoding: gzip" must not be unpacked, which is all that requests offers.
    """
    try:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            yield chunk
    except (HTTPError, OSError) as error:
        if not isinstance(error.__cause__, IncompleteRead):  # of that, the caller has better numbers
            raise _Transient(_why(error)) from error


def _copy(path: Path, part: Path, source: Source) -> None:
    """Fill `part` from a local file, which is checked first: a wrong one costs no partial download."""
    if why := _mismatch(path, source):
        raise _Failed(f"{path} {why}")
    _save(_read(path), part, source, start=0)
    if why := _mismatch(part, source):
        part.unlink()
        raise _Failed(f"{path} changed while it was copied: the copy {why}")
    _say(f"{source.file}: copied from {path}")


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise _Failed(f"{path} cannot be read: {error.strerror}") from error


def _save(
    chunks: Iterator[bytes],
    part: Path,
    source: Source,
    *,
    start: int,
    report: Callable[[int], object] = lambda count: None,
) -> None:
    """Write chunks to `part` from byte `start`, never more than the file has; an `OSError` is the cache's."""
    length, excess = start, False
    with part.open("ab" if start else "wb") as file:
        for chunk in chunks:
            length += len(chunk)
            if excess := length > source.size:
                break
            file.write(chunk)
            file.flush()  # what was received outlives a kill
            report(len(chunk))
    if excess:
        part.unlink()
        raise _Failed(f"sent more than {source.size:,} bytes")


def _publish(part: Path, stored: Path) -> Path:
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(part, stored)
    return stored


def _local(url: str, base: Path) -> Path:
    """Where on this machine an address points that is not a web address."""
    if url.startswith("package:"):
        return _in_package(url.removeprefix("package:"))
    scheme, mark, rest = url.partition("://")
    if mark and scheme.lower() != "file":
        raise _Failed(f"unknown kind of address {scheme}://; valid: http://, https://, file://, package: or a path")
    if mark:
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise _Failed("names a host; a path on this machine is written file:///path")
        return Path(url2pathname(f"/{path}"))
    try:
        return (base / Path(url).expanduser()).absolute()
    except RuntimeError as error:  # no such user
        raise _Failed(str(error)) from error


def _in_package(address: str) -> Path:
    """`name/folder/file` in the installed package `name`, which is looked up and not imported."""
    name, *parts = address.split("/")
    if not name.isidentifier() or not parts or any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise _Failed("must be package:<name of an installed package>/<path in it>, without '..'")
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that is loaded without a spec
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        raise _Failed(f"no Python package {name} is installed")
    paths = [Path(folder).joinpath(*parts) for folder in spec.submodule_search_locations]
    return next((path for path in paths if path.is_file()), Path(*paths[:1]))


@contextlib.contextmanager
def _locked(stored: Path) -> Iterator[None]:
    lock = FileLock(f"{stored}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"{stored.name}: waiting for another process that is fetching it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _progress(source: Source, start: int) -> Iterator[Callable[[int], object]]:
    """What to call with the number of each chunk's bytes: a bar on a terminal, elsewhere a line now and then."""
    if sys.stdout.isatty():
        with tqdm(
            total=source.size,
            initial=start,
            desc=source.file,
            unit="B",
            unit_scale=True,
            dynamic_ncols=True,
            file=sys.stdout,
        ) as bar:
            yield bar.update
        return
    began = said_at = time.monotonic()
    done = said = start

    def report(count: int) -> None:
        nonlocal done, said, said_at
        done, now = done + count, time.monotonic()
        if now - said_at < LINE_S and done - said < LINE_SHARE * source.size:
            return
        said, said_at = done, now
        rate = (done - start) / max(now - began, 1e-6)  # of this connection; bytes a second
        left = tqdm.format_interval((source.size - done) / rate) if rate else "?"
        _say(
            f"{source.file}: {100 * done / source.size:.0f} %, {done / 1e6:.1f} of {source.size / 1e6:.1f} MB, "
            f"{rate / 1e6:.2f} MB/s, {left} left"
        )

    yield report


def _mismatch(path: Path, source: Source) -> str | None:
    """Why this is not the file of the source, as the predicate of a sentence; None if it is."""
    try:
        if not path.is_file():
            return "is not a file" if os.path.lexists(path) else "does not exist"
        if (size := path.stat().st_size) != source.size:
            return f"has {size:,} bytes, expected {source.size:,}"
        if (found := digest(path)) != source.sha256:
            return f"has sha256 {found}, expected {source.sha256}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _http(response: requests.Response) -> str:
    return f"HTTP {response.status_code} {response.reason}".strip()


def _retry_after(response: requests.Response) -> float:
    """Seconds, which the server gives as such or as a date; 0 if it gives neither."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return (date - datetime.datetime.now(date.tzinfo)).total_seconds()


def _why(error: BaseException) -> str:
    """The innermost cause: what requests and urllib3 wrap around it says less, and repeats the URL."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return f"not a byte for {READ_TIMEOUT_S:g} s"
    kind = "the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
    kind = "TLS: " if isinstance(error, requests.exceptions.SSLError) else kind
    while inner := error.__cause__ or error.__context__:
        error = inner
    return kind + (getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _say(text: str) -> None:
    print(redact(text), flush=True)
