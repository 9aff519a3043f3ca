"""Servers that tests start on free ports of this machine, and stop."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from patience import HUNG_S


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serve(words: list[str], *, port: int, log: Path, path: str = "/", **variables: str) -> Iterator[None]:
    """Run a command that serves HTTP, from when it answers to `path`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | variables
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, env=environment, cwd=log.parent, stdout=file, stderr=file, start_new_session=True
        )
    try:
        end = time.monotonic() + HUNG_S
        while not _answers(port, path):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(HUNG_S)


def _answers(port: int, path: str) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


@contextlib.contextmanager
def mlflow_server(folder: Path, *options: str, **variables: str) -> Iterator[int]:
    """An MLflow server; its port."""
    port = free_port()
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Without the job runner it starts in a quarter of the time.
    quick = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = folder / "mlflow-server.log"
    with serve([*words, *options], port=port, log=log, path="/health", **quick, **variables):
        yield port
