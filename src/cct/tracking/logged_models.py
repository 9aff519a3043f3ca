"""The models of MLflow's runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.repository import repository_root
from cct.tracking.delivery import ABSENT

if TYPE_CHECKING:
    from cct.tracking.store import Store


def log_model(store: "Store", run_id: str, path: Path, meta: Mapping[str, Any], *, backend: str) -> None:
    """Log a model file as the run's model, unless the run has one. A model that is stored already is linked.

    A run may also have models whose upload failed or was killed, or whose files are gone: they do not count.

    Args:
        store: the tracking store.
        run_id: the run's identifier.
        path: a `.keras` file.
        meta: the content of meta.json.
        backend: the backend that trained the model.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    from cct.inference import mlflow_model

    if usable_model(store, store.client.get_run(run_id)):  # MLflow links a model before it uploads the files
        return
    sha256 = sha256_of_file(path)
    same = f"tags.`cct.model_sha256` = '{sha256}'"
    # Two trainings that end at once in equal models would both find none.
    with FileLock(repository_root() / ".cct" / "model.lock"):
        stored = [model for model in store.client.search_logged_models([store.experiment], same) if _is_whole(model)]
        if stored:
            store.client.log_outputs(run_id, [LoggedModelOutput(stored[0].model_id, step=0)])
            return
        Model.log(
            artifact_path=None, name="model", flavor=mlflow_model, run_id=run_id, tags={"cct.model_sha256": sha256},
            model_file=path, meta=dict(meta), backend=backend,
            validate_serving_input=False,
        )  # fmt: skip


def usable_model(store: "Store", run: Any) -> str | None:
    """The identifier of a run's model, or None. A model counts if its upload ended and its files are there."""
    from mlflow.exceptions import MlflowException

    for output in run.outputs.model_outputs if run.outputs else []:
        try:
            model = store.client.get_logged_model(output.model_id)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            continue  # somebody deleted it
        if _is_whole(model):
            return output.model_id
    return None


def require_model(store: "Store", run: Any) -> str:
    """The identifier of a run's model, as `usable_model`.

    Raises:
        CCTError: the run has none.
    """
    if model_id := usable_model(store, run):
        return model_id
    raise CCTError(f"run {run.info.run_id} has no model: its training did not end, or cct track has not been run")


def _is_whole(model: Any) -> bool:
    """Whether the upload of a logged model ended, and its files are there, as far as they are on this machine."""
    place = _local_path(model.artifact_location)
    return model.status == "READY" and (place is None or (place / "MLmodel").is_file())


def _local_path(location: str) -> Path | None:
    """The path of a location on this machine; None for another kind of store."""
    place = urlsplit(location)
    return Path(unquote(place.path)) if place.scheme in ("", "file") else None
