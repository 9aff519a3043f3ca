"""One MLflow run for one run of the pipeline: a view of the files that DVC holds, never their master.

A stage opens a `Tracker`, and every call on it is allowed to fail: the first failure prints one warning and silences
the rest, and the stage goes on to finish its files. No identifier of MLflow's is written into a file, because DVC would
hash it; `evaluate` and `plot` find the run of `train` by the digest of the model and the name of the experiment.
"""

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock

from cct.errors import redact
from cct.files import root
from cct.params import flatten, read_yaml

EXPERIMENT = "cct"
CODE = ("--", ".", ":!params.yaml", ":!dvc.lock")
# MLflow's own patience with a dead server is seven retries and two minutes each.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def store() -> str:
    """The tracking URI: `MLFLOW_TRACKING_URI`, or a SQLite file in the root of the repository."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def origin() -> dict[str, str]:
    """Where a run comes from: name, experiment, commit, and whether more than its parameters differed from that."""
    top = root()
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or _git(top, "rev-parse", "HEAD")
    experiment = os.environ.get("DVC_EXP_NAME", "")
    branch = _git(top, "rev-parse", "--abbrev-ref", "HEAD")
    return {
        "name": experiment or (f"{branch}@{commit[:7]}" if commit else top.name),
        "experiment": experiment,
        "commit": commit,
        "dirty": str(bool(_git(Path.cwd(), "status", "--porcelain", "--untracked-files=no", *CODE))).lower(),
    }


def epoch_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """A row of the history under MLflow's names: `train_loss` becomes `train/loss`, and so on."""
    return {
        "train/loss": row["train_loss"],
        "train/accuracy": row["train_accuracy"],
        "train/learning_rate": row["learning_rate"],
        "val/loss": row["val_loss"],
        "val/accuracy": row["val_accuracy"],
    }


def final_metrics(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """`metrics.json` under MLflow's names: `test/accuracy`, `test_class/cat`, `model/macs`."""
    return (
        {f"test/{name}": value for name, value in summary["test"].items()}
        | {f"test_class/{name}": value for name, value in summary["per_class"].items()}
        | {f"model/{name}": summary["model"][name] for name in ("parameters", "macs")}
    )


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _forgiving(method: Callable) -> Callable:
    @functools.wraps(method)
    def wrapper(self: "Tracker", *args, **kwargs) -> None:
        if self.client is None:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # whatever a tracker throws, it is not worth a run
            self.give_up(error)

    return wrapper


class Tracker:
    """Writes into one run, of which `run_id` is the identifier, or nowhere where tracking failed."""

    def __init__(
        self, *, stage: str, meta: Mapping[str, Any], model_sha256: str | None = None, run_id: str | None = None
    ) -> None:
        """Open the run that this stage belongs to.

        Args:
            stage: "train" starts a run; any other stage goes on with the run that trained the model, or starts one and
                says so in a tag where there is none (DVC restored the training from its cache).
            meta: of the data, as `cct.data.read_meta` returns it.
            model_sha256: of the model file, for all stages but "train".
            run_id: the run that an interrupted training wrote into; it is gone on with if it is still there.
        """
        self.client, self.run_id, self.stage = None, None, stage
        try:
            self._open(meta, model_sha256, run_id)
        except Exception as error:
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Say once that there is no tracking, and do none from here on."""
        self.client = None
        lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
        reason = lines[0] if lines else type(error).__name__
        print(f"warning: not tracked in MLflow from here on: {redact(reason[:300])}", file=sys.stderr)

    def _open(self, meta: Mapping[str, Any], model_sha256: str | None, run_id: str | None) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        import mlflow

        for noisy in ("alembic", "mlflow", "sqlalchemy"):  # a new store logs every migration, and errors are said below
            logging.getLogger(noisy).setLevel(logging.CRITICAL)

        top = root()
        local = None if os.environ.get("MLFLOW_TRACKING_URI") else (top / "mlartifacts").as_uri()
        mlflow.set_tracking_uri(store())  # sets MLFLOW_TRACKING_URI too
        client = mlflow.MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        (top / ".cct").mkdir(exist_ok=True)
        with FileLock(top / ".cct" / "mlflow.lock"):  # two processes that create one SQLite store destroy it
            found = client.get_experiment_by_name(name)
            experiment_id = found.experiment_id if found else client.create_experiment(name, artifact_location=local)
        mlflow.set_experiment(experiment_id=experiment_id)  # where Model.log puts its files, not where the run is
        source = origin()
        tags = {f"cct.{key}": value for key, value in source.items()} | {"cct.data_digest": meta["digest"]}
        parameters = {key: str(value) for key, value in flatten(read_yaml(Path("params.yaml"))).items()}
        if model_sha256:
            tags["cct.model_sha256"] = model_sha256
            trained = client.search_runs(
                [experiment_id],
                f"tags.`cct.model_sha256` = '{model_sha256}' AND tags.`cct.name` = '{source['name']}'",
                order_by=["attributes.start_time DESC"],
            )
            # Other parameters of a later stage make another run, or its metrics would contradict its parameters.
            self.run_id = next((run.info.run_id for run in trained if run.data.params == parameters), None)
            if trained and not self.run_id:
                tags["cct.trained_in"] = trained[0].info.run_id
            if not self.run_id:
                tags["cct.training"] = "restored"
        if run_id:
            own = f"attributes.run_id = '{run_id}' AND tags.`cct.name` = '{source['name']}'"
            self.run_id = next((run.info.run_id for run in client.search_runs([experiment_id], own)), None)
        if self.run_id:
            client.update_run(self.run_id, status="RUNNING")
        else:
            tags["mlflow.runName"] = source["name"]
            self.run_id = client.create_run(experiment_id, tags=tags).info.run_id
            client.log_batch(self.run_id, params=[mlflow.entities.Param(*item) for item in parameters.items()])
            client.log_artifact(self.run_id, "params.yaml")
        self.client = client

    @_forgiving
    def metrics(self, values: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log all values of one step in one call; None is left out."""
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        points = [Metric(key, float(value), now, step) for key, value in values.items() if value is not None]
        self.client.log_batch(self.run_id, metrics=points)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Log one row of the history."""
        self.metrics(epoch_metrics(row), step=int(row["epoch"]))

    @_forgiving
    def history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log those rows of the history that the run does not have: a step logged twice would be there twice."""
        logged = {point.step for point in self.client.get_metric_history(self.run_id, "val/accuracy")}
        for row in rows:
            if row["epoch"] not in logged:
                self.epoch(row)

    @_forgiving
    def environment(self, record: Mapping[str, Any]) -> None:
        """What computes (`cct.machine.record`): a file with all of it, and tags to filter by."""
        kind = record["kind"]
        self.client.log_dict(self.run_id, dict(record), "environment.json")
        self.tags(
            {
                "backend": f"{kind['backend']} {kind['backend_version']}",
                "device": ", ".join(kind["gpus"]) or record["cpu"],
                "host": record["host"],
            }
        )

    @_forgiving
    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags, each under `cct.`."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(f"cct.{key}", str(value)) for key, value in values.items()])

    @_forgiving
    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what is in a folder, into the run."""
        copy = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        copy(self.run_id, str(path), folder)

    @_forgiving
    def model(self, flavor: ModuleType, **options) -> None:
        """Log a model that `flavor.save_model` writes from `options`, as the run's model."""
        from mlflow.models import Model

        Model.log(artifact_path=None, name="model", flavor=flavor, run_id=self.run_id, **options)

    @_forgiving
    def close(self, status: str) -> None:
        """End the run; a later stage of the same pipeline run opens it again."""
        self.client.set_terminated(self.run_id, status=status)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close("FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED")
