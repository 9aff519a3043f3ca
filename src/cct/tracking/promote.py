"""The model registry: a run's model becomes champion if it is better by more than chance."""

from typing import Any, NamedTuple

from cct.errors import CCTError
from cct.evaluation.metrics import TEST_METRICS
from cct.tracking.store import ABSENT, Store
from cct.training.metrics import EPOCH_METRICS

REGISTERED, CHAMPION = "cct", "champion"


class Comparison(NamedTuple):
    """A metric by which models are compared."""

    higher_is_better: bool
    bound: str | None  # the metric of the champion that a better model must pass; None: the metric itself


def comparable_metrics() -> dict[str, Comparison]:
    """The metrics that can decide, by their name in MLflow: those of the tables, with their own directions.

    A metric with an interval must be passed at its better end, which the champion could have reached by chance.
    """
    found = {}
    for name, metric in TEST_METRICS.items():
        end = f"test/{name}_{'high' if metric.higher_is_better else 'low'}" if metric.interval else None
        found[f"test/{name}"] = Comparison(metric.higher_is_better, end)
    found["best/val_accuracy"] = Comparison(EPOCH_METRICS["accuracy"].higher_is_better, None)
    return found


def promote(store: Store, run_id: str, *, metric: str, force: bool) -> str:
    """Register a run's model, and make it the champion if it is better than the present one by more than chance.

    Args:
        store: of MLflow.
        run_id: of the run.
        metric: a key of `comparable_metrics`.
        force: make it the champion in any case.

    Returns:
        What was done, in a line.

    Raises:
        CCTError: the run has no model or no such metric, or is not better.
    """
    run = store.get(run_id)
    models = run.outputs.model_outputs if run.outputs else []
    if not models:
        raise CCTError(f"run {run_id} has no model: its training did not end, or cct track has not been run")
    allowed = [name for name in comparable_metrics() if name in run.data.metrics]
    if metric not in allowed:
        raise CCTError(f"run {run_id} has no result {metric!r}; it has: {', '.join(allowed)}")
    sha256, value = run.data.tags.get("cct.model_sha256", ""), run.data.metrics[metric]
    champion = _champion(store)
    if champion and sha256 and champion.tags.get("cct.model_sha256") == sha256:
        return f"{REGISTERED} version {champion.version} is this model already"
    bound = _require_better(store, champion, metric, value, force=force) if champion else None
    version = _register(store, run_id, models[0].model_id, sha256)
    before = f", in place of version {champion.version} ({bound:.4f} at best)" if bound is not None else ""
    return f"models:/{REGISTERED}@{CHAMPION} is version {version}, {metric} = {value:.4f}{before}"


def _champion(store: Store) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_model_version_by_alias(REGISTERED, CHAMPION)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None


def _require_better(store: Store, champion: Any, metric: str, value: float, *, force: bool) -> float | None:
    """The value that was passed; None if the champion has no such metric."""
    held, comparison = store.client.get_run(champion.run_id).data.metrics, comparable_metrics()[metric]
    end = held.get(comparison.bound) if comparison.bound else None
    bound = held.get(metric) if end is None else end
    if bound is None or force:
        return bound
    better = value > bound if comparison.higher_is_better else value < bound
    if not better:
        side = "above" if comparison.higher_is_better else "below"
        raise CCTError(
            f"{metric} = {value:.4f} is not {side} {bound:.4f}, which the champion (version {champion.version}) "
            f"{'has' if end is None else 'could have reached by chance'}; --force makes it champion all the same"
        )
    return bound


def _register(store: Store, run_id: str, model_id: str, sha256: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(REGISTERED)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = store.client.create_model_version(
        REGISTERED, f"models:/{model_id}", run_id=run_id, model_id=model_id, tags={"cct.model_sha256": sha256}
    )
    store.client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    return version.version
