"""The table of runs that the MLflow UI shows first."""

import base64
import json
import zlib

from cct.tracking.delivery import now_ms

NAME = "summary"
COLUMNS = {
    "metrics": ["test/accuracy", "test/loss", "best/val_accuracy", "best/epoch", "model/parameters"],
    "params": ["model.name", "train.epochs", "train.learning_rate", "train.seed"],
}


def view_path(experiment: str) -> str:
    """The path of this table in the UI, to be appended to the server's address."""
    return f"/#/experiments/{experiment}/runs?viewStateShareKey={NAME}"


def view_tags() -> dict[str, str]:
    """Tags of an MLflow experiment that add a table of the main columns to its page, under Views and by address.

    The UI of MLflow 3 saves its views in this form. A UI that does not know the form shows its default columns.
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
    at = now_ms()
    view = {"name": NAME, "createdAt": at, "updatedAt": at, "state": f"deflate;{packed}"}
    return {"mlflow.experimentKind": "custom_model_development", f"mlflow.sharedViewState.{NAME}": json.dumps(view)}
