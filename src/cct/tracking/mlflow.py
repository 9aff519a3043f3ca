"""One MLflow run for one run of the pipeline: a view of the files that DVC holds, never their master.

A stage opens a tracker and continues at once: a thread delivers what it logs, in order, and again while the server
does not answer. What is not delivered when the stage ends costs a warning; `cct track` delivers it later from the
files. No stage fails for its tracking. No identifier of MLflow's is written into a file, because DVC would hash it.
`evaluate` and `plot` find the run of `train` by the digest of the model and the name of the experiment. They make one
from the files where DVC restored the training from its cache.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from cct.tracking.delivery import Delivery, now_ms
from cct.tracking.names import epoch_metrics
from cct.tracking.provenance import Provenance, current_provenance, logged_parameters
from cct.tracking.store import Store


class MlflowTracker:
    """What one stage logs, into one run. Its methods return at once and never raise.

    Attributes:
        run_id: of the run, as soon as it is known, which is never where the server does not answer.
    """

    def __init__(
        self,
        *,
        stage: str,
        meta: Mapping[str, Any],
        model_sha256: str | None = None,
        run_id: str | None = None,
        flavor: ModuleType | None = None,
        on_open: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        """Open the run that this stage belongs to.

        Args:
            stage: "train" starts a run; any other stage goes on with the run that trained the model, or makes one from
                the files, and says so in a tag, where there is none (DVC restored the training from its cache).
            meta: of the data, as `cct.data.read_meta` returns it.
            model_sha256: of the model file, for all stages but "train".
            run_id: the run that an interrupted training wrote into; it is gone on with if it is still there.
            flavor: see `Store.model`.
            on_open: gets the identifier of the run, on the delivering thread.
        """
        self.run_id: str | None = None
        self.begun: str | None = None
        self.store: Store | None = None
        self.monitor: Any = None
        self.stage, self.flavor, self.delivery = stage, flavor, Delivery()
        source = current_provenance()
        self.delivery.put(lambda: self._open(source, meta, model_sha256, run_id, on_open))

    def _open(
        self, source: Provenance, meta: Mapping[str, Any], sha256: str | None, run_id: str | None, on_open
    ) -> None:
        self.store = self.store or Store()
        tags = {"data_digest": meta["digest"]}
        found = None
        if run_id:
            own = f"attributes.run_id = '{run_id}' AND tags.`cct.name` = '{source.name}'"
            found = next(iter(self.store.client.search_runs([self.store.experiment], own)), None)
        elif sha256:
            tags["model_sha256"] = sha256
            trained = self.store.runs(model_sha256=sha256, name=source.name)
            # Other parameters of a later stage make another run, or its metrics would contradict its parameters.
            found = next((run for run in trained if run.data.params == logged_parameters(Path())), None)
            if not found:
                others = trained or self.store.runs(model_sha256=sha256)
                tags |= {"training": "restored"} | ({"trained_in": others[0].info.run_id} if others else {})
        if found:
            self.run_id = found.info.run_id
            self.store.client.update_run(self.run_id, status="RUNNING")
        else:
            # A call that failed is made again: the run that it may have made is not.
            self.begun = self.begun or self.store.create(Path(), source, tags)
            self.store.parameters(self.begun, Path())
            self.run_id = self.begun
            if sha256:
                self.store.fill(self.run_id, Path(), meta, at=now_ms(), flavor=self.flavor)
        on_open(self.run_id)
        if self.stage == "train":
            self._watch_system()

    def _watch_system(self) -> None:
        """Record load and memory of the machine with the run, unless the environment says no."""
        if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").lower() in ("false", "0"):
            return
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self.monitor = SystemMetricsMonitor(self.run_id, resume_logging=True)
        self.monitor.start()

    def _put(self, call: Callable[[Store, str], None]) -> None:
        def deliver() -> None:
            if self.store and self.run_id:  # else the server refused the run itself
                call(self.store, self.run_id)

        self.delivery.put(deliver)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Log one row of the history."""
        values, step, at = epoch_metrics(row), int(row["epoch"]), now_ms()
        self._put(lambda store, run_id: store.metrics(run_id, values, step=step, at=at))

    def history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log those rows of the history that the run does not have."""
        rows, at = list(rows), now_ms()
        self._put(lambda store, run_id: store.history(run_id, rows, at))

    def finals(self, values: Mapping[str, float]) -> None:
        """Log values that a run has once."""
        at = now_ms()
        self._put(lambda store, run_id: store.finals(run_id, values, at))

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags, each under `cct.`."""
        self._put(lambda store, run_id: store.tags(run_id, values))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what is in a folder, into the run. It must stay as it is until the tracker is closed."""
        self._put(lambda store, run_id: store.artifact(run_id, path, folder))

    def environment(self, record: Mapping[str, Any]) -> None:
        """What computes (`cct.machine.record`): a file with all of it, and tags to filter by."""
        kind = record["kind"]
        self._put(lambda store, run_id: store.client.log_dict(run_id, dict(record), "environment.json"))
        backend, device = f"{kind['backend']} {kind['backend_version']}", ", ".join(kind["gpus"]) or record["cpu"]
        self.tags({"backend": backend, "device": device, "host": record["host"]})

    def model(self, path: Path, meta: Mapping[str, Any], backend: str) -> None:
        """Log the model file as the run's model."""
        self._put(lambda store, run_id: store.model(run_id, path, meta, backend=backend, flavor=self.flavor))

    def __enter__(self) -> "MlflowTracker":
        return self

    def __exit__(self, kind, error, trace) -> None:
        status = "FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED"
        if self.monitor:
            # Aside, because it waits for the monitor's thread, and that for the server.
            threading.Thread(target=self.monitor.finish, daemon=True).start()
        self._put(lambda store, run_id: store.client.set_terminated(run_id, status=status))
        # A server that has not answered gets no more of the user's time than one last try.
        self.delivery.close(patience=5 if self.delivery.reason else 60)
