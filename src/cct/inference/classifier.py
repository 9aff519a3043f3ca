"""A trained classifier outside the pipeline: `cct.load`. It needs a model's file and no repository."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.errors import CCTError
from cct.evaluation.conformal import PERCENTS, prediction_sets, threshold_of
from cct.inference.runtimes.registry import open_model
from cct.models.metadata import ModelMetadata
from cct.tasks.inference import INFERENCE_TASKS
from cct.tasks.lookup import task_of

log = logging.getLogger(__name__)
BATCH = 256  # inputs that are read at a time
NAMED = 10  # inputs that a warning names


class Predictions(NamedTuple):
    """The predictions for n inputs.

    Attributes:
        classes: the names of the k classes.
        probabilities: calibrated probabilities, (n, k), float64. Each row sums to one.
        set_thresholds: of `cct.evaluation.conformal`.
        warnings: why the prediction of each input means little; empty where nothing says so.
    """

    classes: list[str]
    probabilities: np.ndarray
    set_thresholds: list[float]
    warnings: list[str]

    @property
    def labels(self) -> list[str]:
        """The most probable class of each input."""
        return [self.classes[k] for k in self.probabilities.argmax(axis=1)]

    @property
    def confidences(self) -> np.ndarray:
        """The probability of each label, (n,)."""
        return self.probabilities.max(axis=1)

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """The most probable classes of each input, with their probabilities, the first one first."""
        order_nk = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return [
            [(self.classes[k], float(row[k])) for k in order]
            for order, row in zip(order_nk, self.probabilities, strict=True)
        ]

    def sets(self, coverage: float, *, warn: bool = True) -> list[list[str]]:
        """Conformal prediction sets: classes of each input, the most probable first.

        The true class is among them for at least this share of inputs, if they are like the validation split.

        Args:
            coverage: a whole percent, such as 0.95.
            warn: log it where every set has all classes, because the model has no threshold for this coverage.

        Raises:
            ValueError: the coverage is no whole percent from 0.01 to 0.99.
        """
        if warn:
            warn_of_whole_sets(self.set_thresholds, coverage)
        chosen_nk = prediction_sets(self.probabilities, threshold_of(self.set_thresholds, coverage))
        order_nk = np.argsort(-self.probabilities, axis=1, kind="stable")
        return [
            [self.classes[k] for k in order if chosen[k]] for order, chosen in zip(order_nk, chosen_nk, strict=True)
        ]


class Explanations(NamedTuple):
    """The parts of n inputs that the model looked at.

    Attributes:
        predictions: labels and probabilities.
        arrays: the inputs as the model takes them. Images: uint8 (n, height, width, channels).
        attention: the share of each part of the inputs in the predictions. Images: see
            `cct.tasks.image_classification.attention.ImageAttention`.
    """

    predictions: Predictions
    arrays: np.ndarray
    attention: Any


class Classifier:
    """A trained model with its classes, preprocessing and calibration.

    Attributes:
        metadata: what the model's file says of it.
        task: the functions of its task.
        reader: turns raw inputs into the model's.
        runtime: computes the probabilities.
    """

    def __init__(self, path: Path) -> None:
        """Load a `.keras` file, or one that `cct export` made of it.

        Raises:
            CCTError: the file is no model that the pipeline trained, or the library that it needs is not installed.
        """
        self.runtime = open_model(path)
        self.metadata: ModelMetadata = self.runtime.metadata
        self.task = task_of({"task": self.metadata.task}, INFERENCE_TASKS, where=path)
        self.reader = self.task.reader(self.metadata.input, path)
        shapes = self.runtime.input_shape, (self.runtime.outputs,)
        if shapes != (self.reader.shape, (len(self.classes),)):
            raise CCTError(
                f"{path} says that inputs {self.reader.shape} have {len(self.classes)} classes, but its model maps "
                f"{shapes[0]} to {shapes[1]}: it was changed, so train it again"
            )

    @property
    def model(self) -> Any:
        """The Keras model, from arrays to logits.

        Raises:
            CCTError: the model is an exported file, which Keras does not compute.
        """
        if self.runtime.model is None:
            raise CCTError("an exported model has no layers to look at: load the .keras file that it was made of")
        return self.runtime.model

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the outputs."""
        return self.metadata.classes

    def predict(self, inputs: Any) -> Predictions:
        """Labels and calibrated probabilities.

        Args:
            inputs: one input or a sequence of them. Images: paths, bytes of image files, images of Pillow, or arrays of
                uint8 with raw pixels. They may have any size: they are treated as in `preprocess`. Texts: the texts
                themselves, bytes in UTF-8, or `pathlib` paths of text files.

        Returns:
            The predictions. Each of their warnings is also logged.

        Raises:
            CCTError: an input cannot be used; the message names it.
        """
        items = _as_sequence(inputs, dimensions=len(self.reader.shape))
        parts = [
            self.predict_arrays(self.reader.arrays(items[i : i + BATCH], first=i)) for i in range(0, len(items), BATCH)
        ]
        empty = np.zeros((0, len(self.classes)))
        probabilities_nk = np.concatenate([empty, *(part.probabilities for part in parts)])
        warnings = [warning for part in parts for warning in part.warnings]
        log_warnings(warnings)
        return Predictions(self.classes, probabilities_nk, self.metadata.set_thresholds, warnings)

    def predict_arrays(self, arrays: np.ndarray) -> Predictions:
        """As `predict`, of arrays (n, ...) that are the model's inputs already."""
        return self.as_predictions(arrays, self.runtime.probabilities(arrays))

    def as_predictions(self, arrays: np.ndarray, probabilities_nk: np.ndarray) -> Predictions:
        """The predictions for the model's inputs (n, ...), from their probabilities."""
        return Predictions(self.classes, probabilities_nk, self.metadata.set_thresholds, self.reader.warnings(arrays))

    def explain(self, inputs: Any) -> Explanations:
        """The parts that the model looked at, in inputs as `predict` takes them. The model is a `.keras` file."""
        if not len(items := _as_sequence(inputs, dimensions=len(self.reader.shape))):
            raise CCTError("there is nothing to explain: give at least one input")
        return self.explain_arrays(self.reader.arrays(items))

    def explain_arrays(self, arrays: np.ndarray) -> Explanations:
        """As `explain`, of arrays (n, ...) that are the model's inputs already. n is at least 1."""
        model, predictions = self.model, self.predict_arrays(arrays)
        with self.runtime.lock:
            return Explanations(predictions, arrays, self.task.attention(model, arrays))


def warn_of_whole_sets(thresholds: Sequence[float], coverage: float) -> None:
    """Log it where every set has all classes, because the validation split allows no threshold of this coverage."""
    if not threshold_of(thresholds, coverage):
        possible = [percent for percent, threshold in zip(PERCENTS, thresholds, strict=True) if threshold]
        most = f"{possible[-1] / 100:.2f} is the largest that has" if possible else "no coverage has"
        log.warning(
            f"with a coverage of {coverage:.2f} every set has all classes: the model's validation split has too few "
            f"examples for smaller ones, or the model is too wrong on it; {most} smaller sets"
        )


def log_warnings(warnings: Sequence[str]) -> None:
    """Log the warnings of predictions, a line for each kind. It names the inputs by their places."""
    for warning in sorted({*warnings} - {""}):
        places = [str(place) for place, one in enumerate(warnings) if one == warning]
        more = f" and {len(places) - NAMED:,} more" if len(places) > NAMED else ""
        log.warning("input %s%s: %s", ", ".join(places[:NAMED]), more, warning)


def _as_sequence(inputs: Any, *, dimensions: int) -> Sequence[Any]:
    """The inputs as a sequence; one alone becomes a sequence of one. An array of many has one more dimension."""
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind in "OUTS":  # of texts
            return inputs.ravel().tolist()
        return inputs if inputs.ndim == dimensions + 1 else [inputs]
    if isinstance(inputs, str | bytes | bytearray | os.PathLike) or hasattr(inputs, "getexif"):
        return [inputs]
    if isinstance(inputs, Iterator) or hasattr(inputs, "tolist"):  # such as a column of pandas
        return list(inputs)
    return inputs if isinstance(inputs, Sequence) else [inputs]
