"""The model registry: a run's model becomes champion of its data set if it is better by more than chance."""

from typing import Any, NamedTuple

from filelock import FileLock

from cct.errors import CCTError
from cct.evaluation.metrics import TEST_METRICS
from cct.repository import repository_root
from cct.tracking.delivery import ABSENT
from cct.tracking.logged_models import require_model
from cct.tracking.store import Store

CHAMPION = "champion"


class Comparison(NamedTuple):
    """A metric by which models are compared."""

    higher_is_better: bool
    bound: str | None  # the champion's metric that a better model must beat; None: the compared metric itself


def comparable_metrics() -> dict[str, Comparison]:
    """The metrics of `TEST_METRICS`, which can decide a promotion, by their names in MLflow.

    If a metric has an interval, a model must beat the better end of it: the champion could have reached it by chance.
    """
    found = {}
    for name, metric in TEST_METRICS.items():
        end = f"test/{name}_{'high' if metric.higher_is_better else 'low'}" if metric.interval else None
        found[f"test/{name}"] = Comparison(metric.higher_is_better, end)
    return found


def registered_name(run: Any) -> str:
    """The registered model of a run's data set: `cct-NAME-DIGEST`, with 8 digits of the test split's digest.

    Raises:
        CCTError: the run has no tags of its data set.
    """
    name, digest = (run.data.tags.get(f"cct.data_{field}") for field in ("name", "test_digest"))
    if not name or not digest:
        raise CCTError(f"run {run.info.run_id} does not say on which data set it was tested: run cct track first")
    return f"cct-{name}-{digest[:8]}"


def promote(store: Store, run_id: str, *, metric: str, force: bool) -> str:
    """Register a run's model, and make it champion of its data set if it is better by more than chance.

    Args:
        store: MLflow's tracking store.
        run_id: the run's identifier.
        metric: a key of `comparable_metrics`.
        force: make it the champion in any case.

    Returns:
        A message of one line.

    Raises:
        CCTError: the run has no model or no such metric, or is not better.
    """
    run = store.get(run_id)
    model_id = require_model(store, run)
    allowed = [name for name in comparable_metrics() if name in run.data.metrics]
    if metric not in allowed:
        raise CCTError(f"run {run_id} has no result {metric!r}; it has: {', '.join(allowed)}")
    registered = registered_name(run)
    with FileLock(repository_root() / ".cct" / "promote.lock"):  # else two better models could both win
        return _promote(store, run, model_id, registered, metric=metric, force=force)


def _promote(store: Store, run: Any, model_id: str, registered: str, *, metric: str, force: bool) -> str:
    sha256, value = run.data.tags.get("cct.model_sha256", ""), run.data.metrics[metric]
    champion = _champion(store, registered)
    if champion and sha256 and champion.tags.get("cct.model_sha256") == sha256:
        return f"{registered} version {champion.version} is this model already"
    bound = _require_better(store, champion, metric, value, force=force) if champion else None
    version = _register(store, registered, run.info.run_id, model_id, sha256)
    # Another machine may have promoted a model since the comparison. A server has no lock for this.
    present = _champion(store, registered)
    if (present.version if present else None) != (champion.version if champion else None):
        change = "lost its champion in the meantime"
        if present:
            change = f"got another champion in the meantime (version {present.version})"
        raise CCTError(f"{registered} {change}: run cct promote again")
    store.client.set_registered_model_alias(registered, CHAMPION, version)
    before = f", in place of version {champion.version} ({bound:.4f} at best)" if bound is not None else ""
    return f"models:/{registered}@{CHAMPION} is version {version}, {metric} = {value:.4f}{before}"


def _champion(store: Store, registered: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_model_version_by_alias(registered, CHAMPION)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None


def _require_better(store: Store, champion: Any, metric: str, value: float, *, force: bool) -> float | None:
    """The champion's value that was beaten; None if only `force` decided."""
    run, comparison = store.find(champion.run_id), comparable_metrics()[metric]
    if run is None and not force:
        raise CCTError(
            f"the run of the champion (version {champion.version}) is gone, so nothing can be compared: --force makes "
            "this one champion"
        )
    held = run.data.metrics if run else {}
    end = held.get(comparison.bound) if comparison.bound else None
    bound = held.get(metric) if end is None else end
    if force:
        return bound
    if bound is None:
        raise CCTError(f"the champion (version {champion.version}) has no {metric}: compare by another metric")
    better = value > bound if comparison.higher_is_better else value < bound
    if not better:
        side = "above" if comparison.higher_is_better else "below"
        raise CCTError(
            f"{metric} = {value:.4f} is not {side} {bound:.4f}, which the champion (version {champion.version}) "
            f"{'has' if end is None else 'could have reached by chance'}; --force promotes it anyway"
        )
    return bound


def _register(store: Store, registered: str, run_id: str, model_id: str, sha256: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(registered)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = store.client.create_model_version(
        registered, f"models:/{model_id}", run_id=run_id, model_id=model_id, tags={"cct.model_sha256": sha256}
    )
    return version.version
