"""An ablation in MLflow: one run, whose children are the runs of its experiments."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cct.dvc import Experiment
from cct.errors import CCTError
from cct.experiments.ablation.plan import Plan
from cct.repository import git, repository_root
from cct.tracking.delivery import now_ms
from cct.tracking.provenance import lock_digest
from cct.tracking.registry import tracker_name
from cct.tracking.store import Store, explained_errors
from cct.tracking.sync import track_experiment, untracked_experiments
from cct.tracking.times import epoch_seconds, training_seconds

log = logging.getLogger(__name__)

LATER = "%s; table and figure are complete: the same command brings them into MLflow when it answers again"


def tracked_runs(experiments: Sequence[Experiment]) -> tuple[Store | None, list[Any], dict[str, float]]:
    """MLflow's store, the runs of the experiments, and the seconds of their trainings by name.

    Missing runs are made. If MLflow does not answer or is off, the store is None and the rest is empty.
    """
    if tracker_name() != "mlflow":
        return None, [], {}
    try:
        with explained_errors():
            store = Store()
            for experiment in untracked_experiments(store):
                if experiment in experiments:
                    track_experiment(store, experiment)
            found = {}
            for name, baseline, commit in experiments:
                lock = lock_digest(git(repository_root(), "show", f"{commit}:dvc.lock"))
                found[name] = store.runs(experiment=name, commit=baseline, lock_digest=lock)[0]
            watched = {name: epoch_seconds(store, run.info.run_id) for name, run in found.items()}
            seconds = {name: training_seconds(each) for name, each in watched.items() if each}
            return store, list(found.values()), seconds
    except CCTError as error:
        log.warning(LATER, error)
        return None, [], {}


def log_parent(
    store: Store, whole: Plan, summary: Mapping[str, Any], children: Sequence[Any], files: Sequence[Path]
) -> None:
    """Log the ablation with its files as one run, and make its experiments' runs the children. A tag identifies it."""
    try:
        with explained_errors():
            found = store.runs(ablation=whole.name)
            tags = {"mlflow.runName": whole.name, "cct.ablation": whole.name, "cct.commit": summary["commit"]}
            run_id = (found[0] if found else store.client.create_run(store.experiment, tags=tags)).info.run_id
            for run in children:
                if run.data.tags.get("mlflow.parentRunId") != run_id:
                    store.client.set_tag(run.info.run_id, "mlflow.parentRunId", run_id)
            values = {"base/test_accuracy": summary["base"]["test_accuracy"], "changes": len(summary["changes"])}
            values |= {f"points/{row['name']}": row["points"] for row in summary["changes"]}
            store.log_once(run_id, values, now_ms())
            for path in files:
                store.log_artifact(run_id, path)
            store.client.set_terminated(run_id, status="FINISHED")
    except CCTError as error:
        log.warning(LATER, error)
