"""The metrics of every epoch, on training and validation: one entry each.

An entry appears in the history, in MLflow and in the figure of the curves. To add one, write a function that makes its
Keras metric and an entry in `EPOCH_METRICS`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import keras


class EpochMetric(NamedTuple):
    """How a metric is computed and shown."""

    title: str
    higher_is_better: bool
    percent: bool  # a share of 1, shown in percent
    make: Callable[[], "keras.metrics.Metric"] | None  # over logits and one-hot targets; None: Keras reports it anyway


def _accuracy() -> "keras.metrics.Metric":
    import keras

    return keras.metrics.CategoricalAccuracy(name="accuracy")


EPOCH_METRICS = {
    "loss": EpochMetric("Loss", higher_is_better=False, percent=False, make=None),
    "accuracy": EpochMetric("Accuracy", higher_is_better=True, percent=True, make=_accuracy),
}
