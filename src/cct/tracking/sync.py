"""Brings finished runs into MLflow, from the files that DVC holds."""

import tempfile
from pathlib import Path
from typing import Any

from cct import paths
from cct.data.store import read_meta
from cct.dvc import Experiment, fetch_files, list_experiments, require_up_to_date
from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.lockfile import dvc_digest, locked_outputs, require_as_locked
from cct.repository import CODE_PATHSPEC, git, repository_root
from cct.tracking.names import data_tags
from cct.tracking.provenance import Provenance, current_provenance, lock_digest, logged_parameters
from cct.tracking.store import Store


def track_experiment(store: Store, experiment: Experiment) -> str:
    """Bring an experiment into MLflow. Returns a message of one line."""
    changed = git(repository_root(), "diff", "--name-only", experiment.baseline, experiment.commit, *CODE_PATHSPEC)
    source = Provenance(experiment.name, experiment.name, experiment.baseline, str(bool(changed)).lower())
    return _track_commit(store, experiment.commit, source)


def _track_commit(store: Store, commit: str, source: Provenance) -> str:
    with tempfile.TemporaryDirectory(prefix="cct-track-") as folder:
        fetch_files(repository_root(), commit, [*paths.RUN_FILES, paths.FIGURES], Path(folder))
        seconds = git(repository_root(), "show", "--no-patch", "--format=%ct", commit)
        return track_files(store, Path(folder), source, at=1000 * int(seconds))


def untracked_experiments(store: Store) -> list[Experiment]:
    """Experiments that are missing or incomplete in MLflow: DVC took them from its cache, so no stage ran."""
    missing = []
    for experiment in list_experiments():
        lock = git(repository_root(), "show", f"{experiment.commit}:dvc.lock")
        known = {
            "experiment": experiment.name,
            "commit": experiment.baseline,
            "lock_digest": lock_digest(lock),
        }
        if lock and not store.runs(**known):
            missing.append(experiment)
    return missing


def track_work_tree(store: Store) -> str:
    """Bring the run in the work tree into MLflow. Returns a message of one line.

    Raises:
        CCTError: the work tree has no finished run of its parameters and code.
    """
    top = repository_root()
    require_up_to_date(top)  # else one run's parameters would be logged with another run's numbers
    commit = git(top, "rev-parse", "HEAD")
    for experiment in list_experiments():
        if experiment.baseline == commit and all(_same(top, experiment, name) for name in ("dvc.lock", "params.yaml")):
            return track_experiment(store, experiment)
    return track_files(store, top, current_provenance(), at=round(1000 * (top / "dvc.lock").stat().st_mtime))


def _same(top: Path, experiment: Experiment, name: str) -> bool:
    return git(top, "show", f"{experiment.commit}:{name}") == (top / name).read_text(encoding="utf-8").strip()


def track_revision(store: Store, revision: str) -> str:
    """Bring the files of a commit into MLflow. Returns a message of one line."""
    commit = git(repository_root(), "rev-parse", "--verify", f"{revision}^{{commit}}")
    if not commit:
        raise CCTError(f"{revision!r} is no commit, branch or tag of this repository; for an experiment: --exp NAME")
    source = Provenance(f"{revision}@{commit[:7]}", "", commit, "false")
    return _track_commit(store, commit, source)


def track_files(store: Store, folder: Path, source: Provenance, *, at: int) -> str:
    """Bring a finished run of the pipeline into MLflow, if it is not there already.

    Args:
        store: MLflow's tracking store.
        folder: a folder with the run's files at their paths in the repository.
        source: the provenance of the files.
        at: the time at which they were made, in milliseconds since 1970.

    Returns:
        A message of one line.

    Raises:
        CCTError: a file is missing or differs from `dvc.lock`.
    """
    missing = [str(name) for name in paths.RUN_FILES if not (folder / name).is_file()]
    if missing:
        raise CCTError(f"{source.name}: {', '.join(missing)} not there: run dvc checkout, or dvc repro")
    outputs = (*paths.RUN_FILES, paths.FIGURES)
    digests = {path: dvc_digest(folder / path) for path in outputs if (folder / path).exists()}
    fetched = folder != repository_root()
    require_as_locked(digests, locked_outputs(folder), revision=source.name if fetched else "")
    meta = read_meta(folder / paths.PROCESSED)
    lock = lock_digest((folder / "dvc.lock").read_text(encoding="utf-8"))
    sha256 = sha256_of_file(folder / paths.MODEL)
    run = _find(store, folder, source, lock, sha256)
    if run:
        run_id = run.info.run_id
    else:
        run_id = store.create(folder, source, data_tags(meta) | {"model_sha256": sha256}, start=at)
        store.log_parameters(run_id, folder)
    store.fill(run_id, folder, meta, at=at)
    store.log_artifact(run_id, folder / paths.FIGURES, "figures")
    store.log_artifact(run_id, folder / paths.DVC_LOCK)
    store.set_tags(run_id, data_tags(meta) | {"lock_digest": lock, "model_sha256": sha256})
    store.client.set_terminated(run_id, status="FINISHED", end_time=run.info.end_time if run else at)
    store.end_killed_uploads(source.name)  # of a training that was repeated, with the same result
    return f"{source.name}: {'is there, checked' if run else 'tracked'} ({run_id})"


def _find(store: Store, folder: Path, source: Provenance, lock: str, sha256: str) -> Any:
    """The run that has these files already, or None."""
    wanted = logged_parameters(folder)
    if source.experiment:
        candidates = store.runs(experiment=source.experiment, commit=source.commit, model_sha256=sha256)
    else:
        # The commit may be later than the run's, because dvc.lock was committed since.
        candidates = store.runs(lock_digest=lock) or store.runs(model_sha256=sha256, experiment="")
    return next((run for run in candidates if run.data.params == wanted), None)
