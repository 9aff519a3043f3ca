"""`cct serve` in a process of its own, on a free port of this machine."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from exchange import request, send
from patience import HUNG_S
from servers import free_port


class Server(NamedTuple):
    """A server that runs."""

    port: int
    process: subprocess.Popen
    log: Path

    def metric(self, name: str) -> float:
        """The value of a metric, by its name with its labels."""
        text = send(self.port, request("GET", "/metrics")).body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, flags=re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_for(self, name: str, value: float) -> None:
        wait_until(lambda: self.metric(name) == value)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + HUNG_S
    while not condition():
        assert time.monotonic() < end, "never true"
        time.sleep(0.01)


@contextlib.contextmanager
def served(
    model: Path, folder: Path, *words: str, limits: Mapping[str, int] | None = None, script: Path | None = None
) -> Iterator[Server]:
    """Run it from when it listens. SIGTERM ends it, unless the test has ended it.

    Args:
        model: to be served.
        folder: of its log.
        words: more arguments.
        limits: of `--limit`.
        script: runs in place of the command, with the same arguments.
    """
    port = free_port()
    start = [str(script)] if script else ["-m", "cct.cli"]
    settings = [word for name, value in (limits or {}).items() for word in ("--limit", f"{name}={value}")]
    command = [sys.executable, *start, "serve", "--model", str(model), "--port", str(port), *settings, *words]
    log = folder / f"serve-{port}.log"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            return answers(port)

        wait_until(listens)
        yield Server(port, process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(HUNG_S)


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
