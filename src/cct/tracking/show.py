"""The provenance of an MLflow run, and its files in the work tree."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cct import paths
from cct.dvc import Experiment, list_experiments, run_dvc
from cct.errors import CCTError
from cct.repository import git, repository_root
from cct.tracking.provenance import lock_digest
from cct.tracking.store import Store


def describe_run(store: Store, run_id: str) -> dict[str, str]:
    """The provenance of a run, and the command that repeats it, by name.

    Raises:
        CCTError: there is no such run.
    """
    run = store.get(run_id)
    tags = {name.removeprefix("cct."): value for name, value in run.data.tags.items() if name.startswith("cct.")}
    first = ("name", "commit", "dirty", "experiment", "data_digest", "lock_digest", "model_sha256", "command")
    ordered = {name: tags.pop(name) for name in first if name in tags}
    return {"run": run.info.run_id, "status": run.info.status} | ordered | dict(sorted(tags.items()))


def apply_run(store: Store, run_id: str) -> str:
    """Bring a run's parameters, lock file and outputs into the work tree. Returns a message.

    Raises:
        CCTError: the work tree has changes that would be lost, or DVC does not have the files.
    """
    tags, top = describe_run(store, run_id), repository_root()
    run_id = tags["run"]  # the whole identifier; the user may have given its beginning
    _require_nothing_to_lose(store, top)
    experiment = _experiment(tags, top)
    if experiment:
        run_dvc("exp", "apply", experiment.commit)
        return f"experiment {experiment.name} is in the work tree"
    if git(top, "rev-parse", "HEAD") != tags.get("commit"):
        raise CCTError(f"the run is of commit {tags.get('commit')}: git checkout {tags.get('commit')}, then again")
    # Paths in the work tree by paths in the run. metrics.json is in git, so DVC does not check it out.
    places = {"params.yaml": paths.PARAMS, "dvc.lock": paths.DVC_LOCK, "reports/metrics.json": paths.METRICS}
    with tempfile.TemporaryDirectory() as folder:
        if not {file.path for file in store.client.list_artifacts(run_id)}.issuperset(("params.yaml", "dvc.lock")):
            raise CCTError(f"run {run_id} did not finish: it has no dvc.lock, which names its files")
        downloads = {place: store.client.download_artifacts(run_id, name, folder) for name, place in places.items()}
        for place, path in downloads.items():
            shutil.copyfile(path, top / place)
    try:
        run_dvc("checkout")
    except CCTError as error:
        raise CCTError(
            f"{error}. The run's params.yaml and dvc.lock are in the work tree, but DVC does not have all of its "
            "outputs: run dvc pull where there is a remote, else dvc repro"
        ) from error
    aside = "; its code had changes that were never committed" if tags.get("dirty") == "true" else ""
    return f"its params.yaml and dvc.lock are in the work tree, and DVC checked their outputs out{aside}"


def _experiment(tags: Mapping[str, str], top: Path) -> Experiment | None:
    """The experiment that a run is of. One that was removed, and made again by this name, has other results."""
    for experiment in list_experiments():
        if experiment.name == tags.get("experiment") and experiment.baseline == tags.get("commit"):
            lock = git(top, "show", f"{experiment.commit}:{paths.DVC_LOCK}")
            if lock_digest(lock) == tags.get("lock_digest"):
                return experiment
    return None


def _require_nothing_to_lose(store: Store, top: Path) -> None:
    if git(top, "status", "--porcelain", "--untracked-files=no"):
        raise CCTError("the work tree has changes that are not committed: commit or stash them first (git status)")
    lock = top / paths.DVC_LOCK
    if lock.is_file() and not git(top, "ls-files", "dvc.lock"):
        known = lock_digest(lock.read_text(encoding="utf-8"))
        if not store.runs(lock_digest=known):
            raise CCTError(
                "dvc.lock here is in no commit and no MLflow run, so it would be lost: git add and commit it first"
            )
