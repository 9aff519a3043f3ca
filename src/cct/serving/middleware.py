"""Middleware of every response: counts it, reads its request to the end, and logs the traceback of a bug."""

import asyncio
import logging
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cct.serving.metrics import Metrics

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # others are counted as "other"
# How much more of a request that is refused is read. A client that is still sending often misses the response.
DRAINED_BYTES, DRAINED_SECONDS = 1 << 28, 10
# Nothing in a response is to be guessed, framed or kept.
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]

log = logging.getLogger(__name__)


class Watched:
    """An ASGI application whose responses are counted, by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Collection[str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, begun = Exchange(scope, receive, send), time.perf_counter()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("%s %s failed; this is a bug", scope["method"], scope["path"])
        seconds = time.perf_counter() - begun
        route = scope["path"] if scope["path"] in self.routes else "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.answered(route, method, exchange.status, seconds)
        log.debug("%s %s: %s in %.1f ms", scope["method"], scope["path"], exchange.status, 1000 * seconds)


class Exchange:
    """The messages of one request and its response.

    Attributes:
        status: of the response; 0 before it starts.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        names = {name: value for name, value in scope["headers"]}
        self.unread = b"transfer-encoding" in names or names.get(b"content-length", b"0") != b"0"
        # Such a client sends nothing before it is asked to, and reading would ask.
        self.waits = names.get(b"expect", b"").lower() == b"100-continue"
        self.status = 0

    async def receive(self) -> Message:
        self.waits = False
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            self.unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), *HEADERS]
            if self.unread and not self.waits and self.status != 408:
                await self._drain()
            if self.unread:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def _drain(self) -> None:
        size = 0
        try:
            async with asyncio.timeout(DRAINED_SECONDS):
                while self.unread and size <= DRAINED_BYTES:
                    size += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass
