"""The address of MLflow's tracking store."""

import contextlib
import os
import re
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

from cct.errors import CCTError
from cct.files import require_writable
from cct.log import redact
from cct.repository import repository_root

DATABASE = "mlflow.db"


def tracking_uri() -> str:
    """The tracking URI: `MLFLOW_TRACKING_URI`, or a SQLite file in the repository root.

    A relative path of a SQLite file starts there too, not in the temporary folder of an experiment.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"sqlite:///{DATABASE}"
    try:
        urlsplit(uri)
        uri.encode()
    except ValueError as error:
        raise CCTError(
            f"MLFLOW_TRACKING_URI = {redact(ascii(uri))} is not an address ({error}): unset it, or write "
            f"sqlite:///{DATABASE}"
        ) from error
    if uri in ("sqlite://", "sqlite:///:memory:"):
        raise CCTError(f"MLFLOW_TRACKING_URI = {uri!r} is a store in memory, which ends with each stage: name a file")
    relative = re.fullmatch(r"sqlite:///(?![/:])(.+)", uri)
    return f"sqlite:///{repository_root() / relative[1]}" if relative else uri


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, without the options after it, as in `?timeout=30`; None of other stores."""
    found = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", uri)
    return Path(found[1]) if found else None


def require_sqlite_file(uri: str) -> None:
    """Refuse a SQLite file that cannot be opened. MLflow itself would try for a minute, or wait for ever.

    Raises:
        CCTError: it is a folder or a device, or SQLite cannot open it.
    """
    path = sqlite_file(uri)
    if path is None:
        return
    if path.is_dir():
        raise CCTError(f"{path} is a folder, and MLflow needs a file there: remove it, or move it away")
    if path.exists() and not path.is_file():
        raise CCTError(f"{path} is not a plain file, and MLflow needs one there: remove it, or move it away")
    try:
        if path.exists():
            with contextlib.closing(
                sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=20)
            ) as store:
                store.execute("SELECT count(*) FROM sqlite_master")
        else:
            require_writable(path.parent)
    except sqlite3.Error as error:
        raise CCTError(
            f"{path} cannot be opened as MLflow's store: {error}. If it is damaged, move it away, then cct track --all "
            "makes it again"
        ) from error
