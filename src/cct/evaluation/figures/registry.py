"""The figures of a run, by file name. To add a figure, write a function and an entry in `FIGURES`.

Figures that show examples belong to a task and are in its folder, in `cct.tasks`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cct.augment.params import AugmentParams
from cct.evaluation.figures.calibration import plot_reliability
from cct.evaluation.figures.classes import plot_confusion_matrix, plot_per_class_accuracy
from cct.evaluation.figures.curves import History, plot_learning_rate, plot_training_curves
from cct.evaluation.figures.params import PlotParams
from cct.evaluation.metrics import confusion_matrix
from cct.evaluation.per_class import PerClass
from cct.evaluation.predictions import Predictions
from cct.evaluation.softmax import softmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SMALLEST = 1e-7  # predictions.csv rounds probabilities to six decimals


class FigureInputs(NamedTuple):
    """The data for all figures."""

    meta: Mapping[str, Any]  # the content of meta.json
    history: History
    summary: dict[str, Any]  # the content of metrics.json
    per_class: PerClass
    predictions: Predictions
    relevance: dict[int, np.ndarray]  # what the model looked at, by the place of a test example
    read_split: Callable[[str], tuple[np.ndarray, np.ndarray]]  # inputs and labels of "train", "val" or "test"
    read_texts: Callable[[str], Sequence[str]]  # the texts of a split, where the examples are texts
    augment: AugmentParams
    plot: PlotParams


def _training_curves(given: FigureInputs) -> "Figure":
    return plot_training_curves(given.history)


def _learning_rate(given: FigureInputs) -> "Figure":
    return plot_learning_rate(given.history)


def _confusion_matrix(given: FigureInputs) -> "Figure":
    predictions, names = given.predictions, given.predictions.class_names
    return plot_confusion_matrix(confusion_matrix(predictions.labels_n, predictions.predicted_n, len(names)), names)


def _per_class_accuracy(given: FigureInputs) -> "Figure":
    test = given.summary["test"]
    accuracies = {
        name: None if np.isnan(accuracy) else float(accuracy)
        for name, accuracy in zip(given.per_class.names, given.per_class.accuracy_k, strict=True)
    }
    return plot_per_class_accuracy(accuracies, test["accuracy"], test["accuracy_low"], test["accuracy_high"])


def _reliability(given: FigureInputs) -> "Figure":
    p, test, temperature = given.predictions, given.summary["test"], given.summary["model"]["temperature"]
    # predictions.csv has calibrated probabilities, whose logarithms are the logits divided by the temperature.
    before_nk = softmax(temperature * np.log(np.maximum(p.probabilities_nk, SMALLEST)))
    return plot_reliability(
        before_nk, p.probabilities_nk, p.labels_n, temperature=temperature,
        errors=(test["calibration_error"], test["calibrated_calibration_error"]),
    )  # fmt: skip


FIGURES: dict[str, Callable[[FigureInputs], "Figure"]] = {
    "training_curves": _training_curves,
    "learning_rate": _learning_rate,
    "confusion_matrix": _confusion_matrix,
    "per_class_accuracy": _per_class_accuracy,
    "reliability": _reliability,
}
