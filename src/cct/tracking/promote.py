"""The model registry: a run's model as champion."""

import re

from cct.errors import CCTError
from cct.tracking.store import ABSENT, Store, get_run

REGISTERED, CHAMPION = "cct", "champion"


def promote(store: Store, run_id: str, *, metric: str, force: bool) -> str:
    """Register a run's model, and make it the champion if it is better than the present one by more than chance.

    The champion's own interval says what chance is, where the metric has one (`test/accuracy_high`); else the bare
    values decide. Of losses and errors less is better, of all else more.

    Raises:
        CCTError: the run has no model or no such metric, or is not better.
    """
    from mlflow.exceptions import MlflowException

    run, client = get_run(store, run_id), store.client
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
