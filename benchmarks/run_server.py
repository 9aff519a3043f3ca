"""Runs a server on this machine while it is measured."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import load
from common import ROOT

from cct.errors import CCTError

START_S, ANSWER_S = 300, 60  # until a server must have started, and until it must have answered a request


@contextlib.contextmanager
def running(words: list[str], *, health: str) -> Iterator[tuple[int, int]]:
    """Run a server on a free port: its process and its port, once it answers.

    Raises:
        CCTError: it ends, or does not answer in `START_S` seconds.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*words, "--port", str(port)], stdout=log, stderr=log, start_new_session=True, cwd=ROOT
        )
        try:
            deadline = time.monotonic() + START_S
            while not _answers(port, health, patience=max(deadline - time.monotonic(), 0.1)):
                code = process.poll()
                if code is not None or time.monotonic() > deadline:
                    log.seek(0)
                    how = f"has not answered in {START_S} seconds" if code is None else f"ended with {code}"
                    raise CCTError(f"{' '.join(words)} {how}:\n{log.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.1)
            yield process.pid, port
        finally:
            _stop(process)


def _stop(process: subprocess.Popen) -> None:
    """End a server and its children, by force if they take longer than `ANSWER_S` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ANSWER_S)
            return


def _answers(port: int, path: str, *, patience: float) -> bool:
    try:
        return get(port, path, patience=min(patience, ANSWER_S)).status == 200
    except (OSError, EOFError):  # nobody listens yet, or the server closes the connection
        return False


def get(port: int, path: str, *, patience: float = ANSWER_S) -> load.Answer:
    """The answer to a GET."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    return load.ask(port, [request], clients=1, patience=patience)[0]
