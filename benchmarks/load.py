"""Clients that ask an HTTP server on this machine, as many at a time as wanted, over connections that stay open."""

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Answer(NamedTuple):
    """A response, and how long it took in seconds."""

    place: int
    status: int
    body: bytes
    seconds: float


def post(path: str, body: bytes, media_type: str) -> bytes:
    """A request of HTTP/1.1."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(port: int, requests: Iterable[bytes], *, clients: int, patience: float) -> list[Answer]:
    """Send requests, each client one after the other over its own connection; the responses by their place.

    Args:
        port: of this machine.
        requests: each is taken when a client is free.
        clients: how many requests are sent at a time.
        patience: seconds until a response must be there.

    Raises:
        OSError: the server does not answer, or not in time (TimeoutError).
        EOFError: it closes a connection within a response.
    """
    return asyncio.run(_ask(port, iter(enumerate(requests)), clients, patience))


async def _ask(port: int, requests: Iterator[tuple[int, bytes]], clients: int, patience: float) -> list[Answer]:
    parts = await asyncio.gather(*(_client(port, requests, patience) for _ in range(clients)))
    return sorted(answer for part in parts for answer in part)


async def _client(port: int, requests: Iterator[tuple[int, bytes]], patience: float) -> list[Answer]:
    answers: list[Answer] = []
    connection = None
    for place, request in requests:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(patience):
                connection = connection or await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
                reader, writer = connection
                writer.write(request)
                status, body, closes = await _response(reader)
        except TimeoutError as error:
            raise TimeoutError(f"port {port} has not answered request {place} within {patience:g} seconds") from error
        answers.append(Answer(place, status, body, time.perf_counter() - begun))
        if closes:
            writer.close()
            connection = None
    if connection:
        connection[1].close()
    return answers


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status and body of a response with a Content-Length, and whether the connection closes after it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    body = await reader.readexactly(int(fields[b"content-length"]))
    return int(head.split(b" ", 2)[1]), body, fields.get(b"connection") == b"close"


def until(deadline: float, requests: Sequence[bytes]) -> Iterator[bytes]:
    """The requests over and over, until `time.perf_counter()` says that the deadline is there; at least one."""
    for request in itertools.cycle(requests):
        yield request
        if time.perf_counter() >= deadline:
            return


def summary(answers: list[Answer], seconds: float) -> dict[str, float]:
    """Requests a second, and the median and 99th percentile of their times in milliseconds."""
    milliseconds = 1000 * np.array([answer.seconds for answer in answers])
    return {
        "requests": len(answers),
        "requests_per_second": round(len(answers) / seconds, 1),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
    }
