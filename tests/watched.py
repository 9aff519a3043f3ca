"""A stage with the MLflow tracker, as the runner of the stages runs it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from cct.tracking.base import finishing
from cct.tracking.mlflow import MlflowTracker

META = {"name": "tests", "digest": "d" * 64, "sha256": {"test_inputs": "a", "test_labels": "b"}}


@contextlib.contextmanager
def watched(stage: str, **options: Any) -> Iterator[MlflowTracker]:
    tracker = MlflowTracker()
    tracker.start(stage, META, **options)
    with finishing(tracker):
        yield tracker
