"""The MLflow UI on this machine."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

from filelock import FileLock, Timeout

from cct.entry import raise_if_interrupted
from cct.errors import CCTError
from cct.files import require_writable
from cct.log import redact
from cct.repository import repository_root
from cct.tracking.address import DATABASE, sqlite_file, tracking_uri
from cct.tracking.registry import require_tracking
from cct.tracking.store import Store, explained_errors
from cct.tracking.sync import track_experiment, untracked_experiments
from cct.tracking.view import view_path
from cct.training.checkpoints import CHECKPOINTS, abandoned_runs

log = logging.getLogger(__name__)


def serve_ui(port: int) -> int:
    """Serve the UI on this machine only, until Ctrl-C. The default store gets every DVC experiment first.

    Returns:
        The exit code of the server.

    Raises:
        CCTError: tracking is off or goes to a server, or the port is not free.
    """
    require_tracking()
    uri, address = tracking_uri(), f"http://127.0.0.1:{port}"
    if uri.startswith(("http://", "https://")):
        raise CCTError(f"MLFLOW_TRACKING_URI names a server: open its own address ({redact(uri)})")
    with _reserved(port):
        if sqlite_file(uri) == repository_root() / DATABASE:  # another store may be shared: cct track --all fills it
            address += view_path(_bring_in_experiments())
        return _serve(uri, address, port)


def _serve(uri: str, address: str, port: int) -> int:
    log.info("MLflow UI on %s in a few seconds (Ctrl-C ends it)", address)
    environment = {
        # This project does not use the job runner. Without it the server starts in a quarter of the time.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,  # may have a password, and everybody can read command lines
    }
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    with subprocess.Popen([*server, *options], env=environment, start_new_session=True) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)  # it has child processes
            process.wait()
            return 0


@contextlib.contextmanager
def _reserved(port: int) -> Iterator[None]:
    """Hold a port for this process. The server takes it seconds later, and another `cct ui` would find it free."""
    require_writable(repository_root() / ".cct")
    lock = FileLock(repository_root() / ".cct" / f"ui-{port}.lock")
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
        lock.acquire(timeout=0)
    except (OSError, Timeout) as error:
        raise CCTError(f"port {port} is not free: make ui PORT=5001, or another") from error
    try:
        yield
    finally:
        lock.release()


def _bring_in_experiments() -> str:
    """Track missing experiments. Returns the identifier of the MLflow experiment."""
    with explained_errors():
        store = Store()  # makes the tables under a lock, which the server does not have
        store.end_killed_runs(abandoned_runs(repository_root() / CHECKPOINTS))
        missing = untracked_experiments(store)
    for experiment in missing:
        raise_if_interrupted()
        try:
            with explained_errors():
                log.info(track_experiment(store, experiment))
        except CCTError as error:
            log.warning("not in MLflow: %s", error)
    return store.experiment
