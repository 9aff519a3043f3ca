"""Starts and stops the server."""

import contextlib
import logging
import signal
import socket

import uvicorn

from cct.entry import raise_if_interrupted
from cct.errors import CCTError
from cct.serving.app import make_app
from cct.serving.limits import Limits
from cct.serving.middleware import DRAINED_SECONDS
from cct.serving.models import open_model_to_serve
from cct.serving.protocol import protocol_with
from cct.serving.service import Service
from cct.tracking.model_files import model_file

log = logging.getLogger(__name__)


def serve(name: str, *, host: str, port: int, limits: Limits, unsure: float) -> int:
    """Serve a model until SIGTERM, Ctrl-C or a closed terminal. Requests in flight are answered first.

    Args:
        name: a path of a model, or its address in MLflow.
        host: an address or a name of this machine.
        port: of TCP.
        limits: of requests.
        unsure: predictions below this probability are marked.

    Returns:
        The exit code: 0, 1 if requests took too long to be answered, or 130 if a second Ctrl-C dropped some.

    Raises:
        CCTError: there is no such model, or the address cannot be used.
    """
    with bound_socket(host, port) as listener, model_file(name) as path:
        service = Service(name, open_model_to_serve(path), limits, unsure=unsure)
        service.warm_up()
        raise_if_interrupted()
        log.info("%s: %s classes, computed by %s", name, len(service.classifier.classes), service.model.runtime)
        config = uvicorn.Config(
            make_app(service), http=protocol_with(limits), ws="none", lifespan="on", log_config=None,
            log_level="critical", access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=longest_seconds(limits),
        )  # fmt: skip
        return run_until_signal(Server(config), listener)


def longest_seconds(limits: Limits) -> int:
    """The longest time of a request: to come, to be parsed, answered and read to its end, and to have its answer."""
    coming = limits.head_seconds + limits.body_seconds
    return coming + 2 * limits.answer_seconds + DRAINED_SECONDS + limits.write_seconds


class Server(uvicorn.Server):
    """uvicorn's server, which counts what it drops at its end.

    Attributes:
        dropped: connections whose request had no answer yet, or whose client had not taken it.
    """

    dropped = 0

    async def _wait_tasks_to_complete(self) -> None:
        try:
            await super()._wait_tasks_to_complete()
        finally:  # also cancelled, after the longest time
            self.dropped = len(self.server_state.connections)


def run_until_signal(server: Server, listener: socket.socket) -> int:
    """Serve on a socket; the exit code."""
    host, port, *_ = listener.getsockname()
    try:
        listener.listen()
    except OSError as error:  # another process took the port meanwhile
        raise CCTError(f"{host}:{port} cannot be used: {error.strerror}") from error
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, server.handle_exit)
    log.info("serving on http://%s:%s (Ctrl-C ends it)", f"[{host}]" if ":" in host else host, port)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again, after the end
        server.run(sockets=[listener])
    if server.dropped:
        log.warning("ended: %s of the requests were dropped without an answer", server.dropped)
    else:
        log.info("ended: all requests are answered")
    return 130 if server.force_exit else int(server.dropped > 0)


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket of this address that does not listen yet.

    Raises:
        CCTError: the host is none of this machine, or the port is not free.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CCTError(f"--host {host} is not a name or an address of this machine: use 127.0.0.1") from error
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise CCTError(f"{host}:{port} cannot be used: {error.strerror}. Choose another --host or --port") from error
    return made
