"""The trackers by name. To add one, write a module with a `Tracker` and an entry in `TRACKERS`."""

import importlib
import os

from cct.errors import CCTError
from cct.tracking.base import Tracker

# Names, not imports: MLflow is imported only where it is used.
TRACKERS = {
    "mlflow": "cct.tracking.mlflow:MlflowTracker",
    "none": "cct.tracking.base:Tracker",
}


def tracker_name() -> str:
    """The name of the tracker: "none" if MLFLOW_TRACKING_URI is none, else CCT_TRACKER, else "mlflow".

    Raises:
        CCTError: CCT_TRACKER is not the name of a tracker.
    """
    if os.environ.get("MLFLOW_TRACKING_URI", "").strip().lower() == "none":
        return "none"
    name = os.environ.get("CCT_TRACKER") or "mlflow"
    if name not in TRACKERS:
        raise CCTError(f"CCT_TRACKER = {name!r}: must be one of {', '.join(TRACKERS)}")
    return name


def require_tracking() -> None:
    """Refuse a command that needs MLflow if another tracker is chosen.

    Raises:
        CCTError: tracking is off, or goes elsewhere.
    """
    if (name := tracker_name()) != "mlflow":
        raise CCTError(
            f"this command needs MLflow, but the tracker is {name}: unset CCT_TRACKER, and MLFLOW_TRACKING_URI where "
            "it is none"
        )


def make_tracker() -> Tracker:
    """A tracker for this process."""
    module, _, name = TRACKERS[tracker_name()].partition(":")
    return getattr(importlib.import_module(module), name)()
