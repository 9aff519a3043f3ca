"""One MLflow run for one run of the pipeline: a view of the files that DVC holds, never their master.

A stage opens a `Tracker` and goes on at once: what it logs is delivered by a thread of its own, in order, and again
while the server does not answer. What is not delivered when the stage ends costs a warning, and the files are there for
`cct track` to deliver later; no stage fails for its tracking. No identifier of MLflow's is written into a file, because
DVC would hash it; `evaluate` and `plot` find the run of `train` by the digest of the model and the name of the
experiment, and make one from the files where DVC restored the training from its cache.
"""

import base64
import hashlib
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from filelock import FileLock

from cct import tables
from cct.errors import redact
from cct.files import digest, root
from cct.params import arguments, flatten, read_yaml

EXPERIMENT, DATABASE, VIEW = "cct", "mlflow.db", "summary"
COLUMNS = {
    "metrics": ["test/accuracy", "test/loss", "best/val_accuracy", "best/epoch", "model/parameters"],
    "params": ["model.name", "train.epochs", "train.learning_rate", "train.seed"],
}
CODE = ("--", ".", ":!params.yaml", ":!dvc.lock")
# MLflow's own patience with a dead server is seven retries and two minutes each; the delivery has its own.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
TRANSIENT = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED", "UNAUTHENTICATED")
LONGEST_WAIT = 30.0  # seconds between two tries
UNANSWERED = (
    "MLflow does not answer ({}): what is logged is kept until it does, and what is left at the end is for cct track"
)
UNDELIVERED = "not delivered to MLflow: {}; the files are complete: run cct track when it answers again"
MODEL, HISTORY = Path("models/model.keras"), Path("reports/history.csv")
METRICS, PREDICTIONS = Path("reports/metrics.json"), Path("reports/predictions.csv")


def store() -> str:
    """The tracking URI: `MLFLOW_TRACKING_URI`, or a SQLite file in the root of the repository.

    A relative SQLite file is meant from there too, not from the folder that DVC runs an experiment in and then removes.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    relative = re.fullmatch(r"sqlite:///(?![/:])(.+)", uri)
    return f"sqlite:///{root() / relative[1]}" if relative else uri


class Origin(NamedTuple):
    """Where a run comes from."""

    name: str  # the experiment, or branch@commit
    experiment: str  # its name, or nothing
    commit: str  # that is checked out; of an experiment, its baseline
    dirty: str  # "true" where more than the parameters differed from that commit


def origin() -> Origin:
    """Where the run of this process comes from."""
    top = root()
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or git(top, "rev-parse", "HEAD")
    experiment = os.environ.get("DVC_EXP_NAME", "")
    branch = git(top, "rev-parse", "--abbrev-ref", "HEAD")
    return Origin(
        name=experiment or (f"{branch}@{commit[:7]}" if commit else top.name),
        experiment=experiment,
        commit=commit,
        dirty=str(bool(git(Path.cwd(), "status", "--porcelain", "--untracked-files=no", *CODE))).lower(),
    )


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints, or nothing where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def epoch_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """A row of the history under MLflow's names: `train_loss` becomes `train/loss`, and so on."""
    names = {
        "train/loss": "train_loss",
        "train/accuracy": "train_accuracy",
        "train/learning_rate": "learning_rate",
        "val/loss": "val_loss",
        "val/accuracy": "val_accuracy",
        "val/ema_loss": "ema_val_loss",  # where weights are averaged
        "val/ema_accuracy": "ema_val_accuracy",
    }
    return {metric: row[column] for metric, column in names.items() if column in row}


def best_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of the epoch whose weights were kept: its number, and its validation accuracy."""
    best = next(row for row in history if row["chosen"])
    return {"best/epoch": best["epoch"], "best/val_accuracy": tables.kept_accuracy(best)}


def final_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """`metrics.json` under MLflow's names: `test/accuracy`, `test_class/cat`, `model/macs`."""
    values = (
        {f"test/{name}": value for name, value in summary["test"].items()}
        | {f"test_class/{name}": value for name, value in summary["per_class"].items()}
        | {f"model/{name}": summary["model"][name] for name in ("parameters", "macs")}
    )
    return {name: value for name, value in values.items() if value is not None}


def parameters(folder: Path) -> dict[str, str]:
    """`params.yaml` flattened, as MLflow has it."""
    return {key: str(value) for key, value in flatten(read_yaml(folder / "params.yaml")).items()}


def lock_digest(text: str) -> str:
    """Sha256 of what a `dvc.lock` says of all stages before `plot`, which reads it before its own entry is there."""
    stages = (_parse(text) or {}).get("stages", {})
    known = {name: stage for name, stage in stages.items() if name != "plot"}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def _parse(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def command(folder: Path, source: Origin) -> str:
    """What makes the same run again: the commit and the parameters that differ from it."""
    committed = git(root(), "show", f"{source.commit}:params.yaml")
    if not committed:
        return "dvc repro"
    before, now = flatten(_parse(committed)), flatten(read_yaml(folder / "params.yaml"))
    changed = {key: value for key, value in now.items() if key not in before or before[key] != value}
    words = shlex.join(["dvc", "exp", "run", *arguments(changed)])
    aside = "  # and the changes of the code that were not committed" if source.dirty == "true" else ""
    return f"git checkout {source.commit[:12]} && {words}{aside}"


class Delivery:
    """Makes calls one after another on a thread of its own, each again and again until it succeeds."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()
        self.changed = threading.Condition()
        self.closing, self.reason = False, ""
        self.thread = threading.Thread(target=self._run, name="MLflow", daemon=True)
        self.thread.start()

    def put(self, call: Callable[[], None]) -> None:
        """Have a call made after all that were put before it."""
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def close(self, patience: float) -> None:
        """Wait until all is delivered, or the last try of what is not has failed, or `patience` seconds."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.thread.join(patience)
        if self.calls and not self.reason:  # else it has been said
            say(UNDELIVERED.format(f"no answer within {patience:.0f} s"))

    def _run(self) -> None:
        wait = 1.0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.calls or self.closing)
                if not self.calls:
                    return
                call = self.calls[0]
            try:
                call()
            except Exception as error:  # whatever a tracker throws, it is not worth a run
                if not _transient(error):
                    say(f"MLflow refused something, which is left out: {reason(error)}")
                    self._done()
                    continue
                with self.changed:
                    if not self.reason:
                        say((UNDELIVERED if self.closing else UNANSWERED).format(reason(error)))
                    self.reason = reason(error)
                    self.changed.notify_all()
                    if self.closing:
                        return
                    self.changed.wait_for(lambda: self.closing, timeout=wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if self.reason:
                    print("MLflow answers again", file=sys.stderr)
                self.reason, wait = "", 1.0
                self._done()

    def _done(self) -> None:
        with self.changed:
            self.calls.popleft()
            self.changed.notify_all()


def say(warning: str) -> None:
    """A warning, without anybody's password."""
    print(f"warning: {redact(warning)}", file=sys.stderr)


def _transient(error: Exception) -> bool:
    """Whether the same call may succeed later. What is wrong with the call itself will stay wrong."""
    if type(error).__module__.partition(".")[0] == "mlflow":
        return getattr(error, "error_code", "INTERNAL_ERROR") in TRANSIENT
    return not isinstance(error, FileNotFoundError | ValueError | TypeError | KeyError | AttributeError | ImportError)


def reason(error: Exception) -> str:
    """What went wrong, in a line."""
    where = re.search(r"host='([^']*)', port=(\d+)", str(error))
    why = re.search(r"\[Errno -?\d+\] ([\w ]+)|(timed out)", str(error))
    if where and why:
        return f"{where[1]}:{where[2]}: {why[1] or why[2]}"
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return (lines[0] if lines else type(error).__name__)[:300]


class Store:
    """The tracking store, opened: MLflow's client and the identifier of the experiment that all runs are in."""

    def __init__(self) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.exceptions import MlflowException

        for noisy in ("alembic", "mlflow", "sqlalchemy"):  # a new store logs every migration, and errors are said below
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        top = root()
        local = None if os.environ.get("MLFLOW_TRACKING_URI") else (top / "mlartifacts").as_uri()
        mlflow.set_tracking_uri(store())  # sets MLFLOW_TRACKING_URI too
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

    def create(self, folder: Path, source: Origin, tags: Mapping[str, str], start: int | None = None) -> str:
        """Make a run of the parameters in `folder`, which `parameters` is to be given next; its identifier."""
        own = source._asdict() | {"command": command(folder, source)} | dict(tags)
        named = {f"cct.{name}": value for name, value in own.items()} | {"mlflow.runName": source.name}
        return self.client.create_run(self.experiment, tags=named, start_time=start).info.run_id

    def parameters(self, run_id: str, folder: Path) -> None:
        """Log `params.yaml`, its values and the file."""
        from mlflow.entities import Param

        self.client.log_batch(run_id, params=[Param(*item) for item in parameters(folder).items()])
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
            flavor: what writes an MLflow model of it (`cct.serving`); none can only name one that is stored.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        run = self.client.get_run(run_id)
        if run.outputs and run.outputs.model_outputs:
            return
        sha256 = digest(path)
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
        if (folder / HISTORY).is_file():
            table = tables.read_history(folder / HISTORY)
            rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
            self.history(run_id, rows, at)
            self.finals(run_id, best_metrics(rows), at)
            self.artifact(run_id, folder / HISTORY, "reports")
        if (folder / MODEL).is_file():
            backend = parameters(folder).get("runtime.backend", "tensorflow")
            self.model(run_id, folder / MODEL, meta, backend=backend, flavor=flavor)
        if (folder / METRICS).is_file():
            self.finals(run_id, final_metrics(tables.read_metrics(folder / METRICS)), at)
            self.artifact(run_id, folder / METRICS, "reports")
            self.artifact(run_id, folder / PREDICTIONS, "reports")


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
    at = now()
    view = {"name": VIEW, "createdAt": at, "updatedAt": at, "state": f"deflate;{packed}"}
    return {"mlflow.experimentKind": "custom_model_development", f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}


class Tracker:
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
        source = origin()
        self.delivery.put(lambda: self._open(source, meta, model_sha256, run_id, on_open))

    def _open(self, source: Origin, meta: Mapping[str, Any], sha256: str | None, run_id: str | None, on_open) -> None:
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
            found = next((run for run in trained if run.data.params == parameters(Path())), None)
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
                self.store.fill(self.run_id, Path(), meta, at=now(), flavor=self.flavor)
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
        values, step, at = epoch_metrics(row), int(row["epoch"]), now()
        self._put(lambda store, run_id: store.metrics(run_id, values, step=step, at=at))

    def history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log those rows of the history that the run does not have."""
        rows, at = list(rows), now()
        self._put(lambda store, run_id: store.history(run_id, rows, at))

    def finals(self, values: Mapping[str, float]) -> None:
        """Log values that a run has once."""
        at = now()
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

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind, error, trace) -> None:
        status = "FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED"
        if self.monitor:
            # Aside, because it waits for the monitor's thread, and that for the server.
            threading.Thread(target=self.monitor.finish, daemon=True).start()
        self._put(lambda store, run_id: store.client.set_terminated(run_id, status=status))
        # A server that has not answered gets no more of the user's time than one last try.
        self.delivery.close(patience=5 if self.delivery.reason else 60)


def now() -> int:
    """Milliseconds since 1970, as MLflow has time."""
    return time.time_ns() // 1_000_000
