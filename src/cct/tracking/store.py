"""MLflow's tracking store: its client, and the data that this project logs into a run."""

import contextlib
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from cct import paths
from cct.errors import CCTError
from cct.evaluation.reports import read_metrics
from cct.files import require_writable
from cct.log import redact
from cct.repository import repository_root
from cct.tracking.address import DATABASE, require_sqlite_file, sqlite_file, tracking_uri
from cct.tracking.delivery import ABSENT, error_reason
from cct.tracking.logged_models import log_model, usable_model
from cct.tracking.names import best_metrics, epoch_metrics, result_metrics
from cct.tracking.provenance import Provenance, logged_parameters, reproduce_command
from cct.tracking.registry import require_tracking
from cct.tracking.view import view_tags
from cct.training.history import read_history

log = logging.getLogger(__name__)

EXPERIMENT = "cct"
TOKEN = "cct_token"  # a tag; `cct show` lists all that begin with "cct.", and this one says nothing about a run
UNFINISHED = "new-store-"  # folders in .cct/ where a SQLite store is made
# By default, MLflow tries a dead server seven times again, for two minutes each. `Delivery` repeats calls instead.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# MLflow would log the metrics of every run to this model too, and fail if it is not there.
ACTIVE_MODEL = ("MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID")


def prepare_mlflow() -> str:
    """Set up MLflow's client in this process: its address, time limits and silence.

    Returns:
        The tracking URI.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ACTIVE_MODEL:
        os.environ.pop(name, None)
    import mlflow

    for noisy in ("alembic", "mlflow", "sqlalchemy"):  # a new store logs every migration; this project logs errors
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)  # sets MLFLOW_TRACKING_URI too
    return uri


class Store:
    """The open tracking store.

    Attributes:
        client: MLflow's client.
        experiment: the identifier of the MLflow experiment that all runs are in.
    """

    def __init__(self) -> None:
        require_tracking()
        uri = prepare_mlflow()
        import mlflow

        top = repository_root()
        # A store in the repository keeps its files there too, also for experiments that DVC runs in temporary folders.
        file = sqlite_file(uri)
        own = file if file and file.is_relative_to(top) else None
        artifacts = (top / "mlartifacts").as_uri() if own else None
        require_writable(top / ".cct")
        require_sqlite_file(uri)
        # Many statements make the tables of a SQLite store, each in its own transaction. Two processes that create one
        # store at once destroy it. A process that is killed meanwhile destroys it too.
        with FileLock(top / ".cct" / "mlflow.lock"):
            if own and not own.exists():
                for left in (top / ".cct").glob(f"{UNFINISHED}*"):  # by a process that was killed
                    shutil.rmtree(left)
                # MLflow remembers the address of a store in this process, so another one needs another address.
                with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=top / ".cct") as folder:
                    mlflow.MlflowClient(f"sqlite:///{folder}/{DATABASE}")
                    Path(folder, DATABASE).replace(own)
            try:
                self.client = mlflow.MlflowClient()
            except ValueError as error:  # of a variable, such as MLFLOW_SQLALCHEMYSTORE_POOL_SIZE
                raise CCTError(f"MLflow ({uri}): {error}") from error
            self.experiment = self._get_or_create(os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT, artifacts)
        mlflow.set_experiment(experiment_id=self.experiment)  # Model.log uses this experiment, not the run's

    def _get_or_create(self, name: str, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found:
            return found.experiment_id
        try:
            return self.client.create_experiment(name, artifact_location=artifacts, tags=view_tags())
        except MlflowException as error:  # another machine has created it meanwhile
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self.client.get_experiment_by_name(name).experiment_id

    def runs(self, **tags: str) -> list:
        """Runs with these tags of this project, the newest first."""
        # MLflow's filters have no escape for a quote in a value, so values with quotes are compared here.
        plain = {name: value for name, value in tags.items() if not set(value) & set("'\"`\\")}
        wanted = " AND ".join(f"tags.`cct.{name}` = '{value}'" for name, value in plain.items())
        found = self._search(wanted)
        return [run for run in found if all(run.data.tags.get(f"cct.{n}", "") == value for n, value in tags.items())]

    def _search(self, wanted: str = "") -> list:
        """All runs that match a filter, the newest first."""
        found, token = [], None
        while True:
            page = self.client.search_runs(
                [self.experiment], wanted, order_by=["attributes.start_time DESC"], page_token=token
            )
            found.extend(page)
            token = page.token
            if not token:
                return found

    def find(self, run_id: str) -> Any:
        """The run with this identifier, or None. One that somebody deleted takes no values, so it counts as absent."""
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            return None
        return None if run.info.lifecycle_stage == "deleted" else run

    def get(self, run_id: str) -> Any:
        """The run whose identifier is `run_id`, or begins with it.

        Raises:
            CCTError: no run matches, or several do.
        """
        run = self.find(run_id)
        found = [run] if run else [run for run in self._search() if run.info.run_id.startswith(run_id)]
        if len(found) != 1:
            where = redact(tracking_uri())
            if found:
                raise CCTError(f"{len(found)} runs begin with {run_id} in {where}: give more of the identifier")
            raise CCTError(f"no run {run_id} in {where}: check MLFLOW_TRACKING_URI")
        return found[0]

    def find_by_token(self, token: str) -> str | None:
        """The identifier of the run that `create` made with this token, or None."""
        found = self._search(f"tags.{TOKEN} = '{token}'")
        return found[0].info.run_id if found else None

    def create(
        self,
        folder: Path,
        source: Provenance,
        tags: Mapping[str, str],
        *,
        start: int | None = None,
        token: str | None = None,
    ) -> str:
        """Make a run. `log_parameters` logs its parameters next.

        Args:
            folder: has its `params.yaml`.
            source: its provenance.
            tags: more tags, without the prefix `cct.`.
            start: when it started, in milliseconds since 1970; None is now.
            token: any unique text. `find_by_token` then finds the run even if the server's answer gets lost.

        Returns:
            The run's identifier.
        """
        own = source._asdict() | {"command": reproduce_command(folder, source)} | dict(tags)
        named = {f"cct.{name}": value for name, value in own.items()} | {"mlflow.runName": source.name}
        named |= {TOKEN: token} if token else {}
        run_id = self.client.create_run(self.experiment, tags=named, start_time=start).info.run_id
        log.debug("MLflow run %s for %s", run_id, source.name)
        return run_id

    def name(self, run_id: str, source: Provenance) -> None:
        """Give a run another name and provenance."""
        self.client.set_tag(run_id, "mlflow.runName", source.name)
        self.set_tags(run_id, source._asdict())

    def end_killed_runs(self, run_ids: Sequence[str]) -> None:
        """Set the status of the runs that still count as running."""
        for run in filter(None, map(self.find, run_ids)):
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, status="KILLED")

    def end_killed_uploads(self, name: str) -> None:
        """Set the status of runs of this name that still count as running, and whose model's upload has not ended.

        A training that still uploads sets its status again when it ends.
        """
        for run in self.runs(name=name):
            uploading = run.outputs and run.outputs.model_outputs and not usable_model(self, run)
            if run.info.status == "RUNNING" and uploading:
                self.client.set_terminated(run.info.run_id, status="KILLED")

    def log_parameters(self, run_id: str, folder: Path) -> None:
        """Log the values in `params.yaml`, and the file."""
        from mlflow.entities import Param

        self.client.log_batch(run_id, params=[Param(*item) for item in logged_parameters(folder).items()])
        self.client.log_artifact(run_id, str(folder / paths.PARAMS))

    def log_metrics(self, run_id: str, values: Mapping[str, float], *, step: int, at: int) -> None:
        """Log all values of one step in one call."""
        from mlflow.entities import Metric

        points = [Metric(name, float(value), at, step) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=points)

    def log_history(self, run_id: str, rows: Sequence[Mapping[str, float]], at: int) -> None:
        """Log the rows that the run does not have. A duplicate step would be two points."""
        logged = {point.step for point in self.client.get_metric_history(run_id, "val/accuracy")}
        for row in rows:
            if row["epoch"] not in logged:
                self.log_metrics(run_id, epoch_metrics(row), step=int(row["epoch"]), at=at)

    def log_once(self, run_id: str, values: Mapping[str, float], at: int) -> None:
        """Log the values that the run does not have yet."""
        has = self.client.get_run(run_id).data.metrics
        new = {name: value for name, value in values.items() if not _equal(has.get(name), float(value))}
        if new:
            self.log_metrics(run_id, new, step=0, at=at)

    def set_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags. Each name gets the prefix `cct.`."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(f"cct.{name}", str(value)) for name, value in values.items()])

    def log_artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Copy a file, or the content of a folder, into the run."""
        copy = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        copy(run_id, str(path), folder)

    def fill(self, run_id: str, folder: Path, meta: Mapping[str, Any], *, at: int) -> None:
        """Log the files of training and evaluation in `folder`. Metrics and a model that the run has are skipped."""
        if (folder / paths.HISTORY).is_file():
            table = read_history(folder / paths.HISTORY)
            rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
            self.log_history(run_id, rows, at)
            self.log_once(run_id, best_metrics(rows), at)
        if (folder / paths.MODEL).is_file():
            backend = logged_parameters(folder).get("runtime.backend", "tensorflow")
            log_model(self, run_id, folder / paths.MODEL, meta, backend=backend)
        if (folder / paths.METRICS).is_file():
            self.log_once(run_id, result_metrics(read_metrics(folder / paths.METRICS)), at)
        for path in (paths.HISTORY, paths.METRICS, paths.PREDICTIONS, paths.PER_CLASS):
            if (folder / path).is_file():
                self.log_artifact(run_id, folder / path, "reports")


@contextlib.contextmanager
def explained_errors() -> Iterator[None]:
    """Turn the errors of a tracking store into errors that the user can fix."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ImportError):
            raise CCTError(f"MLflow ({tracking_uri()}): {error}; is it in make setup EXTRA=server?") from error
        if type(error).__module__.partition(".")[0] not in ("alembic", "botocore", "mlflow", "requests", "sqlalchemy"):
            raise
        raise CCTError(f"MLflow ({tracking_uri()}): {error_reason(error)}") from error


def _equal(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))
