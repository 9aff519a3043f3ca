"""Finds the file of a model that is named as people name models: a path, or an address in MLflow."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cct.errors import CCTError, one_line
from cct.log import redact
from cct.tracking.address import require_sqlite_file, sqlite_file

SCHEMES = ("models:/", "runs:/")


def model_of_run(run_id: str) -> tuple[str, str]:
    """The address of the model that a run logged, and the run's name.

    Raises:
        CCTError: MLflow has no such run, or the run has no model.
    """
    from cct.tracking.logged_models import require_model
    from cct.tracking.store import Store, explained_errors

    with explained_errors():
        store = Store()
        run = store.get(run_id)
        return f"models:/{require_model(store, run)}", run.info.run_name


def model_path(name: str) -> Path:
    """The path that a name is.

    Raises:
        CCTError: it is an address instead, whose slashes a path would not keep.
    """
    if "://" in name and not Path(name).exists():
        raise CCTError(f"{name} is an address, and a model is a file or in MLflow: download it, and give its path")
    return Path(name)


@contextlib.contextmanager
def model_file(name: str) -> Iterator[Path]:
    """The `.keras` file of a model, which may be gone after the context.

    Args:
        name: a path, or models:/NAME@ALIAS, models:/NAME/VERSION or runs:/RUN_ID/model in MLflow.

    Raises:
        CCTError: MLflow does not have it, or does not answer; or it is another address.
    """
    if not name.startswith(SCHEMES):
        yield model_path(name)
        return
    import mlflow

    from cct.tracking.store import prepare_mlflow

    uri = prepare_mlflow()
    require_sqlite_file(uri)
    if (path := sqlite_file(uri)) and not path.exists():  # MLflow would make an empty store there
        raise CCTError(f"{name} is in MLflow, and there is no store at {path}: set MLFLOW_TRACKING_URI")
    with tempfile.TemporaryDirectory(prefix="cct-model-") as folder:
        try:
            downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=name, dst_path=folder))
        except Exception as error:  # MLflow raises its own errors, those of its client, and those of its storage
            raise CCTError(f"{name}: MLflow ({redact(uri)}) does not give it: {one_line(error)}") from error
        found = sorted(downloaded.rglob("model.keras"))
        if len(found) != 1:
            raise CCTError(f"{name} is not a model that this project logged: it has {len(found)} files model.keras")
        yield found[0]
