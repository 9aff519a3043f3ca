"""Runs after the fact: brought into MLflow from the files that DVC holds, described, repeated, promoted."""

import contextlib
import itertools
import re
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cct import clones, serving, tracking
from cct.data import read_meta
from cct.errors import CCTError
from cct.files import digest, root
from cct.tracking import HISTORY, METRICS, MODEL, PREDICTIONS, Origin, Store, git

META = "data/processed/meta.json"
FILES = ("params.yaml", "dvc.lock", META, *map(str, (MODEL, HISTORY, METRICS, PREDICTIONS)))
FIGURES = "reports/figures"
REGISTERED, CHAMPION = "cct", "champion"
BREAK = 3  # epochs: what takes longer is a training that was interrupted
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what MLflow calls a thing that is not there


class Experiment(NamedTuple):
    """An experiment of DVC's. Its name is its own only among those of the same baseline."""

    name: str
    baseline: str  # commit
    commit: str


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Turn what a tracking store throws into an error of the user's."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ImportError):
            raise CCTError(f"MLflow ({tracking.store()}): {error}; is it in make setup EXTRA=server?") from error
        if type(error).__module__.partition(".")[0] not in ("alembic", "botocore", "mlflow", "requests", "sqlalchemy"):
            raise
        raise CCTError(f"MLflow ({tracking.store()}): {tracking.reason(error)}") from error


def experiments() -> list[Experiment]:
    """All experiments in the repository, by name. DVC keeps each as the git reference refs/exps/<baseline>/<name>."""
    found = []
    for line in git(root(), "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/").splitlines():
        commit, _, reference = line.partition(" ")
        parts = reference.split("/")
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found.append(Experiment(parts[4], parts[2] + parts[3], commit))
    return sorted(found)


def track_experiment(store: Store, experiment: Experiment) -> str:
    """Bring an experiment into MLflow; what is said of it."""
    changed = git(root(), "diff", "--name-only", experiment.baseline, experiment.commit, *tracking.CODE)
    source = Origin(experiment.name, experiment.name, experiment.baseline, str(bool(changed)).lower())
    return _track_commit(store, experiment.commit, source)


def _track_commit(store: Store, commit: str, source: Origin) -> str:
    with tempfile.TemporaryDirectory(prefix="cct-track-") as folder:
        clones.fetch(root(), commit, [*FILES, FIGURES], Path(folder))
        seconds = git(root(), "show", "--no-patch", "--format=%ct", commit)
        return track_files(store, Path(folder), source, at=1000 * int(seconds))


def untracked(store: Store) -> list[Experiment]:
    """Experiments that are not, or not wholly, in MLflow: those that DVC took from its cache, so that nothing ran."""
    missing = []
    for experiment in experiments():
        lock = git(root(), "show", f"{experiment.commit}:dvc.lock")
        known = {
            "experiment": experiment.name,
            "commit": experiment.baseline,
            "lock_digest": tracking.lock_digest(lock),
        }
        if lock and not store.runs(**known):
            missing.append(experiment)
    return missing


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


def track_work_tree(store: Store) -> str:
    """Bring what is in the work tree into MLflow; what is said of it.

    Raises:
        CCTError: it holds no finished run of its own parameters and code.
    """
    top = root()
    clones.must_be_up_to_date(top)  # else the parameters of one run would be recorded with the numbers of another
    commit = git(top, "rev-parse", "HEAD")
    for experiment in experiments():
        if experiment.baseline == commit and all(_same(top, experiment, name) for name in ("dvc.lock", "params.yaml")):
            return track_experiment(store, experiment)
    return track_files(store, top, tracking.origin(), at=round(1000 * (top / "dvc.lock").stat().st_mtime))


def _same(top: Path, experiment: Experiment, name: str) -> bool:
    return git(top, "show", f"{experiment.commit}:{name}") == (top / name).read_text(encoding="utf-8").strip()


def track_revision(store: Store, revision: str) -> str:
    """Bring the files of a commit into MLflow; what is said of it."""
    commit = git(root(), "rev-parse", "--verify", f"{revision}^{{commit}}")
    if not commit:
        raise CCTError(f"{revision!r} is no commit, branch or tag of this repository; for an experiment: --exp NAME")
    source = Origin(f"{revision}@{commit[:7]}", "", commit, "false")
    return _track_commit(store, commit, source)


def track_files(store: Store, folder: Path, source: Origin, *, at: int) -> str:
    """Bring a finished run of the pipeline, whose files are in `folder`, into MLflow, where it is not there already.

    Args:
        store: of MLflow.
        folder: has them under their names in the repository.
        source: where they come from.
        at: when they were made, in milliseconds since 1970.

    Returns:
        What was done, in a line.

    Raises:
        CCTError: files are missing.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise CCTError(f"{source.name}: {', '.join(missing)} not there: run dvc repro (or dvc checkout) first")
    meta = read_meta(folder / "data/processed")
    lock = tracking.lock_digest((folder / "dvc.lock").read_text(encoding="utf-8"))
    sha256 = digest(folder / MODEL)
    run = _find(store, folder, source, lock, sha256)
    if run:
        run_id = run.info.run_id
    else:
        run_id = store.create(folder, source, {"data_digest": meta["digest"], "model_sha256": sha256}, start=at)
        store.parameters(run_id, folder)
    store.fill(run_id, folder, meta, at=at, flavor=serving)
    store.artifact(run_id, folder / FIGURES, "figures")
    store.artifact(run_id, folder / "dvc.lock")
    store.tags(run_id, {"lock_digest": lock, "model_sha256": sha256})
    store.client.set_terminated(run_id, status="FINISHED", end_time=run.info.end_time if run else at)
    return f"{source.name}: {'is there, checked' if run else 'tracked'} ({run_id})"


def _find(store: Store, folder: Path, source: Origin, lock: str, sha256: str) -> Any:
    """The run that these files are already in, or None."""
    wanted = tracking.parameters(folder)
    if source.experiment:
        candidates = store.runs(experiment=source.experiment, commit=source.commit, model_sha256=sha256)
    else:
        # The commit may be a later one than that which the run was started from: dvc.lock was committed since.
        candidates = store.runs(lock_digest=lock) or store.runs(model_sha256=sha256, experiment="")
    return next((run for run in candidates if run.data.params == wanted), None)


def describe(store: Store, run_id: str) -> dict[str, str]:
    """What a run came from and how to have it again, by name.

    Raises:
        CCTError: there is no such run.
    """
    run = _get(store, run_id)
    tags = {name.removeprefix("cct."): value for name, value in run.data.tags.items() if name.startswith("cct.")}
    first = ("name", "commit", "dirty", "experiment", "data_digest", "lock_digest", "model_sha256", "command")
    ordered = {name: tags.pop(name) for name in first if name in tags}
    return {"run": run.info.run_id, "status": run.info.status} | ordered | dict(sorted(tags.items()))


def apply(store: Store, run_id: str) -> str:
    """Bring a run's parameters, lock file and outputs into the work tree; what was done.

    Raises:
        CCTError: the work tree has changes that would be lost, or DVC does not have the files.
    """
    tags, top = describe(store, run_id), root()
    if git(top, "status", "--porcelain", "--untracked-files=no"):
        raise CCTError("the work tree has changes that are not committed: commit or stash them first (git status)")
    lock = top / "dvc.lock"
    if lock.is_file() and not git(top, "ls-files", "dvc.lock"):
        known = tracking.lock_digest(lock.read_text(encoding="utf-8"))
        if not store.runs(lock_digest=known):
            raise CCTError("dvc.lock here is in no commit and no run, and would be lost: git add and commit it first")
    named = [e for e in experiments() if e.name == tags.get("experiment") and e.baseline == tags.get("commit")]
    if named:
        clones.dvc("exp", "apply", named[0].commit, folder=None)
        return f"experiment {named[0].name} is in the work tree"
    if git(top, "rev-parse", "HEAD") != tags.get("commit"):
        raise CCTError(f"the run is of commit {tags.get('commit')}: git checkout {tags.get('commit')}, then again")
    names = ("params.yaml", "dvc.lock")
    if not {file.path for file in store.client.list_artifacts(run_id)}.issuperset(names):
        raise CCTError(f"run {run_id} did not finish: it has no dvc.lock that says what its files are")
    with tempfile.TemporaryDirectory() as folder:
        for path in [store.client.download_artifacts(run_id, name, folder) for name in names]:
            shutil.copyfile(path, top / Path(path).name)
    clones.dvc("checkout", folder=None)
    aside = "; its code had changes that were not committed, which are nowhere" if tags.get("dirty") == "true" else ""
    return f"its params.yaml and dvc.lock are in the work tree, and DVC checked their outputs out{aside}"


def promote(store: Store, run_id: str, *, metric: str, force: bool) -> str:
    """Register a run's model, and make it the champion if it is better than the present one by more than chance.

    The champion's own interval says what chance is, where the metric has one (`test/accuracy_high`); else the bare
    values decide. Of losses and errors less is better, of all else more.

    Raises:
        CCTError: the run has no model or no such metric, or is not better.
    """
    from mlflow.exceptions import MlflowException

    run, client = _get(store, run_id), store.client
    models = run.outputs.model_outputs if run.outputs else []
    if not models:
        raise CCTError(f"run {run_id} has no model: its training did not end, or cct track has not been run")
    allowed = sorted(name for name in run.data.metrics if re.fullmatch(r"test/(?!images).*|best/val_accuracy", name))
    if metric not in allowed:
        raise CCTError(f"run {run_id} has no result {metric!r}; it has: {', '.join(allowed)}")
    sha256 = run.data.tags.get("cct.model_sha256", "")
    value, bound = run.data.metrics[metric], None
    less = metric.endswith(("loss", "error"))
    try:
        champion = client.get_model_version_by_alias(REGISTERED, CHAMPION)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        champion = None
    if champion:
        if sha256 and champion.tags.get("cct.model_sha256") == sha256:
            return f"{REGISTERED} version {champion.version} is this model already"
        held = client.get_run(champion.run_id).data.metrics
        end = held.get(f"{metric}_{'low' if less else 'high'}")
        bound = held.get(metric) if end is None else end
        if bound is not None and not force and (value >= bound if less else value <= bound):
            side = "below" if less else "above"
            raise CCTError(
                f"{metric} = {value:.4f} is not {side} {bound:.4f}, which the champion (version {champion.version}) "
                f"{'has' if end is None else 'could have reached by chance'}; --force makes it champion all the same"
            )
    try:
        client.create_registered_model(REGISTERED)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        REGISTERED, f"models:/{models[0].model_id}", run_id=run_id, model_id=models[0].model_id,
        tags={"cct.model_sha256": sha256},
    )  # fmt: skip
    client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    before = f", in place of version {champion.version} ({bound:.4f} at best)" if champion and bound is not None else ""
    return f"models:/{REGISTERED}@{CHAMPION} is version {version.version}, {metric} = {value:.4f}{before}"


def _get(store: Store, run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        raise CCTError(f"no run {run_id} in {tracking.store()}") from error
