"""A stage that is watched by MLflow, as the runner of the stages does it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from cct.tracking.mlflow import MlflowTracker

META = {"digest": "d" * 64}


@contextlib.contextmanager
def watched(stage: str, **options: Any) -> Iterator[MlflowTracker]:
    tracker = MlflowTracker()
    tracker.start(stage, META, **options)
    status = "FAILED"
    try:
        yield tracker
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracker.finish(status)
