"""The metrics of every epoch, on training and validation: one entry each.

An entry appears in the history, in MLflow and in the figure of the curves. To add one, write an entry in
`EPOCH_METRICS` with a function that makes its Keras metric.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import keras


class EpochMetric(NamedTuple):
    """How a metric is computed and shown.

    Attributes:
        title: of its panel in the figure.
        higher_is_better: its direction.
        percent: whether it is a share of 1, shown in percent.
        make: from its name to a Keras metric over logits and one-hot targets; None where Keras reports it anyway.
    """

    title: str
    higher_is_better: bool
    percent: bool
    make: Callable[[str], "keras.metrics.Metric"] | None


def _accuracy(name: str) -> "keras.metrics.Metric":
    import keras

    return keras.metrics.CategoricalAccuracy(name=name)


EPOCH_METRICS = {
    "loss": EpochMetric("Loss", higher_is_better=False, percent=False, make=None),
    "accuracy": EpochMetric("Accuracy", higher_is_better=True, percent=True, make=_accuracy),
}
