"""The MLflow tracker: one MLflow run for one run of the pipeline. DVC holds the files, and the run is a view of them.

A thread delivers the calls of a stage in order, and repeats them while the server does not answer. If calls are left
when the stage ends, a warning is logged; `cct track` delivers them later from the files. No file that DVC hashes has
identifiers of MLflow. `evaluate` and `plot` find the run of `train` by the model's digest and the run's name. If DVC
restored the training from its cache, they make a run from the files.
"""

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cct.paths import PARAMS
from cct.tracking.base import Tracker
from cct.tracking.delivery import Delivery, now_ms
from cct.tracking.logged_models import log_model
from cct.tracking.names import best_metrics, data_tags, epoch_metrics, result_metrics
from cct.tracking.provenance import Provenance, current_provenance, logged_parameters
from cct.tracking.store import Store


class MlflowTracker(Tracker):
    """Logs a stage into its run.

    Attributes:
        run_id: identifier of the run; None until the server has answered.
        created: the run that this stage made; None if the stage belongs to an existing run.
    """

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.created: str | None = None
        self.store: Store | None = None
        self.monitor: Any = None
        self.stage = ""
        self.delivery: Delivery | None = None
        self.token, self.asked = uuid.uuid4().hex, False  # of the run that this stage makes; whether it was asked for

    def start(
        self,
        stage: str,
        meta: Mapping[str, Any],
        *,
        model_sha256: str | None = None,
        run_id: str | None = None,
        on_start: Callable[[str], None] | None = None,
    ) -> None:
        self.stage, self.delivery = stage, Delivery()
        source = current_provenance()
        params = PARAMS.read_bytes()  # it may be edited for the next run before the server answers

        def open_run() -> None:
            # On the delivery's thread: a full disk for temporary files must not end the stage.
            with tempfile.TemporaryDirectory(prefix="cct-params-") as folder:
                (Path(folder) / PARAMS).write_bytes(params)
                self._open(Path(folder), source, meta, model_sha256, run_id, on_start or (lambda run_id: None))

        self.delivery.put(open_run)

    def _open(
        self,
        started: Path,
        source: Provenance,
        meta: Mapping[str, Any],
        sha256: str | None,
        run_id: str | None,
        on_start: Callable[[str], None],
    ) -> None:
        self.store = self.store or Store()
        if self.asked and not self.created:  # the server may have made the run, and its answer got lost
            self.created = self.store.find_by_token(self.token)
        found, tags = None, data_tags(meta)
        if not self.created:  # else a repetition would take this stage's own run for that of the training
            if run_id:
                found = self._interrupted_run(run_id, source, logged_parameters(started))
            elif sha256:
                found, restored = self._run_of_training(sha256, source, logged_parameters(started))
                tags |= restored
        if found:
            self.run_id = found.info.run_id
            on_start(self.run_id)
            self.store.client.update_run(self.run_id, status="RUNNING")
        else:
            self.asked = True
            self.created = self.created or self.store.create(started, source, tags, token=self.token)
            on_start(self.created)
            self.store.log_parameters(self.created, started)
            self.run_id = self.created
            if sha256:
                self.store.fill(self.run_id, Path(), meta, at=now_ms())
        if self.stage == "train":
            self._watch_system()

    def _run_of_training(
        self, sha256: str, source: Provenance, parameters: Mapping[str, str]
    ) -> tuple[Any, dict[str, str]]:
        """The run that trained a model with these parameters, or None; and the tags of a run that is made instead.

        If a later stage has other parameters, it makes another run: metrics must match the run's parameters.
        """
        trained = self.store.runs(model_sha256=sha256, name=source.name)
        found = next((run for run in trained if run.data.params == parameters), None)
        others = trained or self.store.runs(model_sha256=sha256)
        tags = {"model_sha256": sha256, "training": "restored"}
        return found, tags | ({"trained_in": others[0].info.run_id} if others else {})

    def _interrupted_run(self, run_id: str, source: Provenance, parameters: Mapping[str, str]) -> Any:
        """The run of a training that resumes; None if it is gone, or ended as the run of another experiment.

        DVC gives a new name to an experiment that is restarted without a name. The run then gets the new name too.
        """
        found = self.store.find(run_id)
        if not found:
            return None
        if found.data.tags.get("cct.name") == source.name:
            return found
        if found.info.status == "FINISHED" or found.data.params != parameters:
            return None
        self.store.name(run_id, source)
        return found

    def _watch_system(self) -> None:
        """Log load and memory of the machine, unless MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING turns it off."""
        if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").lower() in ("false", "0"):
            return
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self.monitor = SystemMetricsMonitor(self.run_id, resume_logging=True)
        self.monitor.start()

    def _put(self, call: Callable[[Store, str], None]) -> None:
        def deliver() -> None:
            if self.store and self.run_id:  # else the server refused the run itself
                call(self.store, self.run_id)

        if self.delivery:
            self.delivery.put(deliver)

    def end_killed_runs(self, run_ids: Sequence[str]) -> None:
        """Set the status of the runs that still count as running."""
        self._put(lambda store, run_id: store.end_killed_runs(run_ids))

    def log_environment(self, record: Mapping[str, Any]) -> None:
        """Log a file with the whole record, and tags for filters."""
        computes = record["platform"]
        self._put(lambda store, run_id: store.client.log_dict(run_id, dict(record), "environment.json"))
        device = ", ".join(computes["gpus"]) or record["cpu"]
        backend = f"{computes['backend']} {computes['backend_version']}"
        self.set_tags({"backend": backend, "device": device, "host": record["host"]})

    def log_epoch(self, row: Mapping[str, float]) -> None:
        row, at = dict(row), now_ms()

        def log(store: Store, run_id: str) -> None:
            if self.created:
                store.log_metrics(run_id, epoch_metrics(row), step=int(row["epoch"]), at=at)
            else:  # a killed process may have logged the epoch without writing its checkpoint
                store.log_history(run_id, [row], at)

        self._put(log)

    def log_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        rows, at = list(rows), now_ms()
        self._put(lambda store, run_id: store.log_history(run_id, rows, at))

    def log_best(self, history: Sequence[Mapping[str, float]]) -> None:
        self._log_once(best_metrics(history))

    def log_results(self, summary: Mapping[str, Any]) -> None:
        self._log_once(result_metrics(summary))

    def _log_once(self, values: Mapping[str, float]) -> None:
        at = now_ms()
        self._put(lambda store, run_id: store.log_once(run_id, values, at))

    def log_model(self, path: Path, meta: Mapping[str, Any], backend: str) -> None:
        self._put(lambda store, run_id: log_model(store, run_id, path, meta, backend=backend))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        self._put(lambda store, run_id: store.log_artifact(run_id, path, folder))

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags. Each name gets the prefix `cct.`."""
        self._put(lambda store, run_id: store.set_tags(run_id, values))

    def finish(self, status: str) -> None:
        """End the run, and wait for the delivery: up to 60 s, or up to 5 s if the server does not answer."""
        if not self.delivery:
            return
        if self.monitor:
            # On a thread, because it waits for the monitor's thread, which waits for the server.
            threading.Thread(target=self.monitor.finish, daemon=True).start()
        self._put(lambda store, run_id: store.client.set_terminated(run_id, status=status))
        self.delivery.close(patience=5 if self.delivery.reason else 60)
