"""A stage that is watched by MLflow, as the runner of the stages does it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from cct.tracking.base import finishing
from cct.tracking.mlflow import MlflowTracker

META = {"digest": "d" * 64}


@contextlib.contextmanager
def watched(stage: str, **options: Any) -> Iterator[MlflowTracker]:
    tracker = MlflowTracker()
    tracker.start(stage, META, **options)
    with finishing(tracker):
        yield tracker
