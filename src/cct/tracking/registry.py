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
    """The tracker that the environment chooses: MLFLOW_TRACKING_URI=none turns MLflow off, else CCT_TRACKER names it.

    Raises:
        CCTError: CCT_TRACKER names none that is there.
    """
    if os.environ.get("MLFLOW_TRACKING_URI", "").lower() == "none":
        return "none"
    name = os.environ.get("CCT_TRACKER") or "mlflow"
    if name not in TRACKERS:
        raise CCTError(f"CCT_TRACKER = {name!r}: must be one of {', '.join(TRACKERS)}")
    return name


def require_tracking() -> None:
    """Refuse what needs MLflow where it is turned off.

    Raises:
        CCTError: the environment chooses the tracker that does nothing.
    """
    if tracker_name() == "none":
        raise CCTError("tracking is off: unset CCT_TRACKER, and MLFLOW_TRACKING_URI where it is none")


def make_tracker() -> Tracker:
    """A tracker for this process."""
    module, _, name = TRACKERS[tracker_name()].partition(":")
    return getattr(importlib.import_module(module), name)()
