"""Copies bytes from a web server or a file into a partial file, and resumes interrupted downloads."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import functools
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import requests
import tenacity
from tqdm import tqdm
from urllib3.exceptions import HTTPError, ReadTimeoutError

from cct.files import sha256_of_file

if TYPE_CHECKING:
    from cct.data.sources import SourceFile

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # without one byte
ATTEMPTS = 4  # in a row at one URL, each with less than PROGRESS
PROGRESS = 0.01  # share of the file: a connection may break often, but a server must not send a byte at a time
BACKOFF_S, BACKOFF_MAX_S = 1.0, 30.0  # doubled from the first to the second
RETRY_AFTER_MAX_S = 60.0  # even if a server asks for more
LINE_S, LINE_SHARE = 10.0, 0.1  # between two lines of progress without a terminal: seconds, or share of the file
CHUNK = 1 << 15  # bytes
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class Failed(Exception):
    """One address does not deliver the file; the next address may."""


class Transient(Failed):
    """The same address may deliver the file later, after at least `after` seconds."""

    def __init__(self, reason: str, after: float = 0.0):
        super().__init__(reason)
        self.after = after


class PackedFile(NamedTuple):
    """A .gz file at an address. Its own size and hash are not known, only those of its content."""

    file: str
    limit: int  # bytes
    size: None = None


def download(
    url: str, part: Path, wanted: SourceFile | PackedFile, check: Callable[[Path], str | None] | None = None
) -> None:
    """Complete `part` from a web server. If a resumed download is wrong, it is repeated once from the first byte.

    Args:
        url: the address.
        part: a partial download, or a path where no file is.
        wanted: name and size of the file.
        check: says what is wrong with the complete file; None compares it with `wanted`.

    Raises:
        Failed: the server does not give the file.
    """
    check = check or functools.partial(mismatch, wanted=wanted)
    log.info(f"{wanted.file}: downloading from {url}")
    for last in (False, True):
        transfer = _Transfer(url, part, wanted)
        transfer.run()
        if not (why := check(part)):
            return
        part.unlink()
        if last or not transfer.resumed:
            raise Failed(f"sent the wrong file: it {why}")
        log.info(f"{wanted.file}: wrong after a resumed download (it {why}); starting again from the first byte")


class _Transfer:
    """The requests to one URL that fill `part`."""

    def __init__(self, url: str, part: Path, wanted: SourceFile | PackedFile):
        self.url, self.part, self.wanted = url, part, wanted
        self.size = wanted.size  # of a packed file the server says it
        self.resumed = False  # whether bytes of more than one response are in `part`
        self.ranged = True  # whether the server may be asked for a range
        self.answered = False  # whether the server has ever answered
        self.best, self.idle = length(part), 0  # bytes; attempts since the last PROGRESS

    def run(self) -> None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            stop=lambda _: self.idle >= ATTEMPTS,
            wait=self._wait,
            before_sleep=self._announce,
            reraise=True,
        )
        try:
            retrying(self._attempt)
        except Transient as error:
            raise Failed(f"{error}, {ATTEMPTS} times") from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        backoff = min(BACKOFF_S * 2 ** max(self.idle - 1, 0), BACKOFF_MAX_S)
        return max(backoff, min(state.outcome.exception().after, RETRY_AFTER_MAX_S))

    def _announce(self, state: tenacity.RetryCallState) -> None:
        log.info(f"{self.wanted.file}: {state.outcome.exception()}; asking again in {state.next_action.sleep:.0f} s")

    def _attempt(self) -> None:
        try:
            self._request()
            if self.size and (have := length(self.part)) < self.size:
                raise Transient(f"the connection ended after {have:,} of {self.size:,} bytes")
        except Transient:
            have = length(self.part)
            if have == self.size:  # the file is complete; the error came after its end
                return
            if have - self.best >= PROGRESS * self._limit():
                self.best, self.idle = have, 0
            else:
                self.idle += 1
            raise

    def _request(self) -> None:
        have = length(self.part) if self.ranged else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            response = requests.get(self.url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
        except requests.exceptions.SSLError as error:
            raise Failed(_why(error)) from error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            unknown = isinstance(_innermost(error), socket.gaierror) and not self.answered
            raise (Failed if unknown else Transient)(_why(error)) from error
        except ValueError as error:  # its text may contain a part of the URL, even a password
            raise Failed(
                "the address, a redirect or the proxy is not a valid http(s) URL: check urls and HTTPS_PROXY"
            ) from error
        except (requests.RequestException, HTTPError) as error:
            raise Failed(_why(error)) from error
        self.answered = True
        with response:
            start = self._first_byte(response, have)
            self.resumed = start > 0
            with _progress(self.wanted.file, self.size, start) as report:
                save_chunks(_received(response), self.part, limit=self._limit(), start=start, report=report)

    def _limit(self) -> int:
        """The most bytes that the file may have."""
        return self.size or self.wanted.limit

    def _first_byte(self, response: requests.Response, have: int) -> int:
        """Check the head of a response before `part` is changed. Returns the byte at which its body begins."""
        status, start = response.status_code, 0
        if status in TRANSIENT:
            raise Transient(_http(response), _retry_after(response))
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            self.ranged = False
            raise Transient(f"{_http(response)} when asked to resume from byte {have:,}")
        if status == HTTPStatus.PARTIAL_CONTENT:
            answered = re.fullmatch(
                r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", "").strip()
            )
            start, total = (int(answered[1]), answered[2]) if answered else (-1, "*")
        elif status == HTTPStatus.OK:
            total = response.headers.get("Content-Length", "*").strip()
        else:
            raise Failed(_http(response))
        if not re.fullmatch(r"\d{1,18}|\*", total, re.ASCII):
            raise Failed(f"says that the file has {total[:20]!a} bytes")
        if total != "*" and self.size is None:
            if int(total) > self._limit():
                raise Failed(f"offers {int(total):,} bytes, more than the limit of {self._limit():,}")
            self.size = int(total)
        if total != "*" and int(total) != self.size:
            raise Failed(f"offers {int(total):,} bytes, expected {self.size:,}")
        if start not in (0, have) or (start == 0 and have and status == HTTPStatus.PARTIAL_CONTENT):
            self.ranged = False
            raise Transient(f"sent another range than the requested one from byte {have:,}")
        return start


def _received(response: requests.Response) -> Iterator[bytes]:
    """The body's bytes as they arrive, without decoding.

    `read` would lose the start of a chunk whose end does not arrive. `requests` always decodes, and would unpack a .gz
    file that a server labels "Content-Encoding: gzip".
    """
    try:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            yield chunk
    except (HTTPError, OSError) as error:
        if not isinstance(error.__cause__, IncompleteRead):  # for this, the caller has better numbers
            raise Transient(_why(error)) from error


def save_chunks(
    chunks: Iterator[bytes],
    part: Path,
    *,
    limit: int,
    start: int = 0,
    report: Callable[[int], object] = lambda count: None,
) -> None:
    """Write chunks to `part` from byte `start`, at most `limit` bytes in all. An `OSError` comes from the cache."""
    length, excess = start, False
    with part.open("ab" if start else "wb") as file:
        for chunk in chunks:
            length += len(chunk)
            if excess := length > limit:
                break
            file.write(chunk)
            file.flush()  # received bytes survive a kill
            report(len(chunk))
    if excess:
        part.unlink()
        raise Failed(f"sent more than {limit:,} bytes")


@contextlib.contextmanager
def _progress(file: str, size: int | None, start: int) -> Iterator[Callable[[int], object]]:
    """A function to call with the bytes of each chunk. It shows a bar on a terminal, and logs lines elsewhere."""
    if sys.stdout.isatty():
        with tqdm(
            total=size,
            initial=start,
            desc=file,
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
        if now - said_at < LINE_S and (size is None or done - said < LINE_SHARE * size):
            return
        said, said_at = done, now
        rate = (done - start) / max(now - began, 1e-6)  # bytes a second of this connection
        if size is None:
            log.info(f"{file}: {done / 1e6:.1f} MB, {rate / 1e6:.2f} MB/s")
            return
        left = tqdm.format_interval((size - done) / rate) if rate else "?"
        log.info(
            f"{file}: {100 * done / size:.0f} %, {done / 1e6:.1f} of {size / 1e6:.1f} MB, "
            f"{rate / 1e6:.2f} MB/s, {left} left"
        )

    yield report


def mismatch(path: Path, wanted: SourceFile) -> str | None:
    """The reason why `path` is not the wanted file, as the predicate of a sentence; None if it is."""
    try:
        if why := absence(path):
            return why
        if (size := path.stat().st_size) != wanted.size:
            return f"has {size:,} bytes, expected {wanted.size:,}"
        if (found := sha256_of_file(path)) != wanted.sha256:
            return f"has sha256 {found}, expected {wanted.sha256}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def absence(path: Path) -> str | None:
    """The reason why `path` is not a file, as the predicate of a sentence; None if it is one."""
    if path.is_file():
        return None
    return "is not a file" if os.path.lexists(path) else "does not exist"


def length(path: Path) -> int:
    """The size of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _http(response: requests.Response) -> str:
    return f"HTTP {response.status_code} {response.reason}".strip()


def _retry_after(response: requests.Response) -> float:
    """The seconds that a server asks to wait, given as a number or a date; 0 if it gives neither."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    return (date - datetime.datetime.now(date.tzinfo)).total_seconds()


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _why(error: BaseException) -> str:
    """The innermost cause. The errors that requests and urllib3 wrap around it say less, and repeat the URL."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return f"not a byte for {READ_TIMEOUT_S:g} s"
    kind = "the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
    kind = "TLS: " if isinstance(error, requests.exceptions.SSLError) else kind
    error = _innermost(error)
    return kind + (getattr(error, "strerror", None) or str(error) or type(error).__name__)
