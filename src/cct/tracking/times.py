"""The duration of a training, from the times at which MLflow got its epochs."""

import itertools
import statistics
from collections.abc import Sequence

from cct.tracking.store import Store

INTERRUPTION = 3  # typical epochs: a longer epoch was interrupted


def epoch_seconds(store: Store, run_id: str) -> list[float]:
    """Seconds of each epoch of a run except the first, validation included.

    MLflow does not know the start of the first epoch. The list is empty if the curves come from files, which have no
    times.
    """
    points = sorted(store.client.get_metric_history(run_id, "val/accuracy"), key=lambda point: point.step)
    gaps = [(after.timestamp - before.timestamp) / 1000 for before, after in itertools.pairwise(points)]
    return gaps if all(gap > 0 for gap in gaps) else []


def training_seconds(epochs: Sequence[float]) -> float:
    """Seconds of a whole training, from the seconds of all epochs except the first.

    The first counts as a typical epoch. An interrupted epoch counts as `INTERRUPTION` typical epochs at most.
    """
    typical = statistics.median(epochs)
    return sum(min(seconds, INTERRUPTION * typical) for seconds in (typical, *epochs))
