"""Logs exported files into the run that trained their model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cct.errors import CCTError
from cct.tracking.address import sqlite_file, tracking_uri
from cct.tracking.delivery import now_ms
from cct.tracking.registry import tracker_name
from cct.tracking.store import Store, explained_errors

FOLDER = "export"  # in the run


def log_export(sha256: str, values: Mapping[str, float], files: Sequence[Path]) -> str:
    """Log metrics and files into the newest run of a model.

    Args:
        sha256: of the `.keras` file.
        values: metrics by name.
        files: files and folders.

    Returns:
        What was done, in one line.

    Raises:
        CCTError: there is no store or no such run, or MLflow does not take them.
    """
    if (name := tracker_name()) != "mlflow":
        return f"nothing is logged: the tracker is {name}"
    uri = tracking_uri()
    if (path := sqlite_file(uri)) and not path.exists():  # an export is no reason to make one
        raise CCTError(f"there is no MLflow store at {path}, so the export is not logged: set MLFLOW_TRACKING_URI")
    with explained_errors():
        store = Store()
        runs = store.runs(model_sha256=sha256)
        if not runs:
            raise CCTError("no run in MLflow has this model, so the export is not logged: run cct track first")
        run_id = runs[0].info.run_id
        store.log_once(run_id, values, now_ms())
        for file in files:
            store.log_artifact(run_id, file, f"{FOLDER}/{file.name}" if file.is_dir() else FOLDER)
    return f"logged into the MLflow run {run_id}"
