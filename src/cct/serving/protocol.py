"""HTTP/1.1 of uvicorn, with time limits for headers and for writing, a limit of connections, and refusals in JSON."""

import asyncio
import contextlib
import http
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cct.serving.limits import Limits
from cct.serving.middleware import HEADERS
from cct.serving.refusals import RETRY, error_body


class Protocol(H11Protocol):
    """A connection. uvicorn itself would wait for headers and for readers for ever, and refuse in plain text."""

    limits: Limits
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # `pause_writing` is then called for every byte that waits. A connection that closes waits for them too.
        transport.set_write_buffer_limits(high=0)
        if len(self.connections) > self.limits.connections:
            self.refuse(503, f"the server has its {self.limits.connections:,} connections: ask again later")
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._head_timer is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_write_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take all at once: from now on it has some time."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken all."""
        self._stop_write_timer()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Called for what is not HTTP."""
        self.refuse(400, "this is not a request of HTTP/1.1, or its headers are too long")

    def refuse(self, status: int, sentence: str) -> None:
        """Send a refusal and close the connection."""
        if not self.transport.is_closing():
            body = error_body(sentence)
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
                *HEADERS,
                *(RETRY.items() if status == 503 else ()),
            ]
            # A response may have started: then the connection closes without another.
            with contextlib.suppress(h11.LocalProtocolError):
                head = h11.Response(status_code=status, headers=headers, reason=http.HTTPStatus(status).phrase)
                for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event))
            self.transport.close()

    def _wait_for_head(self) -> None:
        seconds = self.limits.head_seconds
        self._head_timer = self.loop.call_later(
            seconds, self.refuse, 408, f"the headers of the request did not come within {seconds} seconds"
        )

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def protocol_with(limits: Limits) -> type[Protocol]:
    """The class that uvicorn makes connections of."""
    return type("LimitedProtocol", (Protocol,), {"limits": limits})
