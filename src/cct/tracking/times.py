"""How long a training took, from the times at which MLflow got its epochs."""

import itertools
import statistics
from collections.abc import Sequence

from cct.tracking.store import Store

INTERRUPTION = 3  # typical epochs: an epoch that takes longer was interrupted


def epoch_seconds(store: Store, run_id: str) -> list[float]:
    """Seconds of each epoch of a run but the first, validation included.

    MLflow does not know when the first epoch began. The list is empty where the curves were brought in afterwards from
    the files, which have no times.
    """
    points = sorted(store.client.get_metric_history(run_id, "val/accuracy"), key=lambda point: point.step)
    gaps = [(after.timestamp - before.timestamp) / 1000 for before, after in itertools.pairwise(points)]
    return gaps if all(gap > 0 for gap in gaps) else []


def training_seconds(epochs: Sequence[float]) -> float:
    """Seconds of a whole training, from its epochs without the first, which counts as a typical one.

    An epoch that was interrupted counts as `INTERRUPTION` typical ones at most.
    """
    typical = statistics.median(epochs)
    return sum(min(seconds, INTERRUPTION * typical) for seconds in (typical, *epochs))
