"""MLflow's tracking store."""

import base64
import contextlib
import itertools
import json
import logging
import os
import re
import statistics
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock

from cct import paths
from cct.errors import CCTError
from cct.evaluation.predictions import read_metrics
from cct.files import sha256_of_file
from cct.repository import repository_root
from cct.tracking.delivery import error_reason, now_ms
from cct.tracking.names import best_metrics, epoch_metrics, final_metrics
from cct.tracking.provenance import Provenance, logged_parameters, reproduce_command
from cct.training.history import read_history

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what MLflow calls a thing that is not there
EXPERIMENT, DATABASE, VIEW = "cct", "mlflow.db", "summary"
COLUMNS = {
    "metrics": ["test/accuracy", "test/loss", "best/val_accuracy", "best/epoch", "model/parameters"],
    "params": ["model.name", "train.epochs", "train.learning_rate", "train.seed"],
}
# MLflow's own patience with a dead server is seven retries and two minutes each; the delivery has its own.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def tracking_uri() -> str:
    """The tracking URI: `MLFLOW_TRACKING_URI`, or a SQLite file in the root of the repository.

    A relative SQLite file is meant from there too, not from the folder that DVC runs an experiment in and then removes.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    relative = re.fullmatch(r"sqlite:///(?![/:])(.+)", uri)
    return f"sqlite:///{repository_root() / relative[1]}" if relative else uri


class Store:
    """The tracking store, opened: MLflow's client and the identifier of the experiment that all runs are in."""

    def __init__(self) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.exceptions import MlflowException

        for noisy in ("alembic", "mlflow", "sqlalchemy"):  # a new store logs every migration, and errors are said below
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        top = repository_root()
        local = None if os.environ.get("MLFLOW_TRACKING_URI") else (top / "mlartifacts").as_uri()
        mlflow.set_tracking_uri(tracking_uri())  # sets MLFLOW_TRACKING_URI too
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        (top / ".cct").mkdir(exist_ok=True)
        # Two processes that create one SQLite store destroy it, and so does one that is killed before it is done: the
        # tables are made by many statements, each for itself.
        with FileLock(top / ".cct" / "mlflow.lock"):
            if local and not (top / DATABASE).exists():
                part = top / ".cct" / DATABASE
                part.unlink(missing_ok=True)
                mlflow.MlflowClient(f"sqlite:///{part}")
                part.replace(top / DATABASE)
            self.client = mlflow.MlflowClient()
            found = self.client.get_experiment_by_name(name)
            if found:
                self.experiment = found.experiment_id
            else:
                try:
                    self.experiment = self.client.create_experiment(name, artifact_location=local, tags=_view())
                except MlflowException as error:  # another machine was quicker
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    self.experiment = self.client.get_experiment_by_name(name).experiment_id
        mlflow.set_experiment(experiment_id=self.experiment)  # where Model.log puts its files, not where the run is

    def runs(self, **tags: str) -> list:
        """Runs that have these tags of ours, the newest first."""
        wanted = " AND ".join(f"tags.`cct.{name}` = '{value}'" for name, value in tags.items())
        return list(self.client.search_runs([self.experiment], wanted, order_by=["attributes.start_time DESC"]))

    def create(self, folder: Path, source: Provenance, tags: Mapping[str, str], start: int | None = None) -> str:
        """Make a run of the parameters in `folder`, which `parameters` is to be given next; its identifier."""
        own = source._asdict() | {"command": reproduce_command(folder, source)} | dict(tags)
        named = {f"cct.{name}": value for name, value in own.items()} | {"mlflow.runName": source.name}
        return self.client.create_run(self.experiment, tags=named, start_time=start).info.run_id

    def logged_parameters(self, run_id: str, folder: Path) -> None:
        """Log `params.yaml`, its values and the file."""
        from mlflow.entities import Param

        self.client.log_batch(run_id, params=[Param(*item) for item in logged_parameters(folder).items()])
        self.client.log_artifact(run_id, str(folder / "params.yaml"))

    def metrics(self, run_id: str, values: Mapping[str, float], *, step: int, at: int) -> None:
        """Log all values of one step in one call."""
        from mlflow.entities import Metric

        points = [Metric(name, float(value), at, step) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=points)

    def history(self, run_id: str, rows: Sequence[Mapping[str, float]], at: int) -> None:
        """Log those rows that the run does not have: a step logged twice would be there twice."""
        logged = {point.step for point in self.client.get_metric_history(run_id, "val/accuracy")}
        for row in rows:
            if row["epoch"] not in logged:
                self.metrics(run_id, epoch_metrics(row), step=int(row["epoch"]), at=at)

    def finals(self, run_id: str, values: Mapping[str, float], at: int) -> None:
        """Log values that a run has once, but for those that it has already."""
        has = self.client.get_run(run_id).data.metrics
        new = {name: value for name, value in values.items() if has.get(name) != float(value)}
        if new:
            self.metrics(run_id, new, step=0, at=at)

    def tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags, each under `cct.`."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(f"cct.{name}", str(value)) for name, value in values.items()])

    def artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what is in a folder, into the run."""
        copy = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        copy(run_id, str(path), folder)

    def model(
        self, run_id: str, path: Path, meta: Mapping[str, Any], *, backend: str, flavor: ModuleType | None
    ) -> None:
        """Make a model file the run's model; one that is stored already, by whatever run, is not stored again.

        Args:
            run_id: of the run.
            path: a `.keras` file.
            meta: of the data.
            backend: Keras's.
            flavor: writes an MLflow model of it (`cct.inference.mlflow_model`); without it a stored one is named.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        run = self.client.get_run(run_id)
        if run.outputs and run.outputs.model_outputs:
            return
        sha256 = sha256_of_file(path)
        same = f"tags.`cct.model_sha256` = '{sha256}'"
        stored = [m for m in self.client.search_logged_models([self.experiment], same) if m.status == "READY"]
        if stored:
            self.client.log_outputs(run_id, [LoggedModelOutput(stored[0].model_id, step=0)])
            return
        if not flavor:
            return
        info = Model.log(
            artifact_path=None, name="model", flavor=flavor, run_id=run_id,
            model_file=path, classes=meta["classes"], image_shape=meta["image_shape"], backend=backend,
            validate_serving_input=False,
        )  # fmt: skip
        self.client.set_logged_model_tags(info.model_id, {"cct.model_sha256": sha256})

    def fill(
        self, run_id: str, folder: Path, meta: Mapping[str, Any], *, at: int, flavor: ModuleType | None = None
    ) -> None:
        """Bring into a run whatever of the training's and the evaluation's files is in `folder` and not in the run."""
        if (folder / paths.HISTORY).is_file():
            table = read_history(folder / paths.HISTORY)
            rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
            self.history(run_id, rows, at)
            self.finals(run_id, best_metrics(rows), at)
            self.artifact(run_id, folder / paths.HISTORY, "reports")
        if (folder / paths.MODEL).is_file():
            backend = logged_parameters(folder).get("runtime.backend", "tensorflow")
            self.model(run_id, folder / paths.MODEL, meta, backend=backend, flavor=flavor)
        if (folder / paths.METRICS).is_file():
            self.finals(run_id, final_metrics(read_metrics(folder / paths.METRICS)), at)
            self.artifact(run_id, folder / paths.METRICS, "reports")
            self.artifact(run_id, folder / paths.PREDICTIONS, "reports")


def _view() -> dict[str, str]:
    """Tags of an experiment that make its page in the UI, under Views and by address, a table of what runs are about.

    It is the form in which the UI of MLflow 3 saves a view itself; one that does not know it shows its usual columns.
    """
    state = {
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": [f"{kind}.`{name}`" for kind, names in COLUMNS.items() for name in names],
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    at = now_ms()
    view = {"name": VIEW, "createdAt": at, "updatedAt": at, "state": f"deflate;{packed}"}
    return {"mlflow.experimentKind": "custom_model_development", f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}


BREAK = 3  # epochs: what takes longer is a training that was interrupted


@contextlib.contextmanager
def explained_errors() -> Iterator[None]:
    """Turn what a tracking store throws into an error of the user's."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ImportError):
            raise CCTError(f"MLflow ({tracking_uri()}): {error}; is it in make setup EXTRA=server?") from error
        if type(error).__module__.partition(".")[0] not in ("alembic", "botocore", "mlflow", "requests", "sqlalchemy"):
            raise
        raise CCTError(f"MLflow ({tracking_uri()}): {error_reason(error)}") from error


def epoch_seconds(store: Store, run_id: str) -> list[float]:
    """Seconds of each epoch of a run, validation included.

    Not of the first, whose beginning MLflow does not know; and none where the curves were brought in afterwards from
    the files, which have no times.
    """
    points = sorted(store.client.get_metric_history(run_id, "val/accuracy"), key=lambda point: point.step)
    gaps = [(after.timestamp - before.timestamp) / 1000 for before, after in itertools.pairwise(points)]
    return gaps if all(gap > 0 for gap in gaps) else []


def training_seconds(epochs: Sequence[float]) -> float:
    """Seconds of a whole training, by those of all epochs but the first, which counts as a typical one.

    An interruption is no training: an epoch with one counts as `BREAK` typical ones at most.
    """
    typical = statistics.median(epochs)
    return sum(min(seconds, BREAK * typical) for seconds in (typical, *epochs))


def get_run(store: Store, run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        raise CCTError(f"no run {run_id} in {tracking_uri()}") from error
