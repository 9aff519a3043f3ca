"""The metrics of every epoch, on the training and validation splits.

Each appears in the history, in MLflow and in the figure of the training curves. To add a metric, write an entry in
`EPOCH_METRICS` with a function that makes its Keras metric.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import keras


class EpochMetric(NamedTuple):
    """How a metric is computed and shown.

    Attributes:
        title: title of its panel in the figure.
        higher_is_better: whether higher values are better.
        percent: whether it is a share of 1, shown in percent.
        make: from a name to a Keras metric over logits and one-hot targets.
    """

    title: str
    higher_is_better: bool
    percent: bool
    make: Callable[[str], "keras.metrics.Metric"]


def _cross_entropy(name: str) -> "keras.metrics.Metric":
    import keras

    return keras.metrics.CategoricalCrossentropy(name=name, from_logits=True)


def _accuracy(name: str) -> "keras.metrics.Metric":
    import keras

    return keras.metrics.CategoricalAccuracy(name=name)


# Keras reports the minimized loss, with label smoothing and class weights, as `loss`. So our plain `loss` has another
# name in Keras. Metrics of `compile(metrics=...)` ignore the weights of examples.
REPORTED_AS = {"loss": "cross_entropy"}
EPOCH_METRICS = {
    "loss": EpochMetric("Loss", higher_is_better=False, percent=False, make=_cross_entropy),
    "accuracy": EpochMetric("Accuracy", higher_is_better=True, percent=True, make=_accuracy),
}


def reported_name(name: str) -> str:
    """The name under which Keras reports one of `EPOCH_METRICS`."""
    return REPORTED_AS.get(name, name)
