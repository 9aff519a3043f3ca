"""A trained classifier outside the pipeline: `cct.load`. It needs the model's file and no repository."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.errors import CCTError
from cct.evaluation.softmax import softmax
from cct.models.metadata import ModelMetadata, model_metadata
from cct.runtime.backend import import_keras
from cct.tasks.inference import INFERENCE_TASKS
from cct.tasks.lookup import task_of

BATCH = 256  # inputs that the model takes at a time


class Predictions(NamedTuple):
    """The predictions for n inputs.

    Attributes:
        classes: the names of the k classes.
        probabilities: calibrated probabilities, (n, k), float64. Each row sums to one.
    """

    classes: list[str]
    probabilities: np.ndarray

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


class Classifier:
    """A trained model with its classes, preprocessing and calibration.

    Attributes:
        metadata: what the model's file says of it.
        reader: turns raw inputs into the model's.
        model: the Keras model, from arrays to logits.
    """

    def __init__(self, path: Path) -> None:
        """Load a `.keras` file.

        Raises:
            CCTError: the file is no model that the pipeline trained, or no backend of Keras is installed.
        """
        self.metadata: ModelMetadata = model_metadata(path)
        self.reader = task_of({"task": self.metadata.task}, INFERENCE_TASKS).reader(self.metadata.input, path)
        import_keras(str(self.metadata.trained_on[-1].get("backend")))
        from cct.models.saving import load_model

        self.model = load_model(path)
        shapes = self.model.input_shape[1:], self.model.output_shape[1:]
        if shapes != (self.reader.shape, (len(self.classes),)):
            raise CCTError(
                f"{path} says that inputs {self.reader.shape} have {len(self.classes)} classes, but its model maps "
                f"{shapes[0]} to {shapes[1]}: it was changed, so train it again"
            )

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

        Raises:
            CCTError: an input cannot be used; the message names it.
        """
        items = _as_sequence(inputs, dimensions=len(self.reader.shape))
        parts = [self.predict_arrays(self.reader.arrays(items[i : i + BATCH])) for i in range(0, len(items), BATCH)]
        empty = np.zeros((0, len(self.classes)))
        return Predictions(self.classes, np.concatenate([empty, *(part.probabilities for part in parts)]))

    def predict_arrays(self, arrays: np.ndarray) -> Predictions:
        """As `predict`, of arrays (n, ...) that are the model's inputs already."""
        from cct.models.saving import predict_logits

        logits_nk = predict_logits(self.model, arrays, batch_size=BATCH)
        return Predictions(self.classes, softmax(logits_nk / self.metadata.temperature))


def _as_sequence(inputs: Any, *, dimensions: int) -> Sequence[Any]:
    """The inputs as a sequence; one alone becomes a sequence of one. An array of many has one more dimension."""
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind in "OUT":  # of texts
            return inputs.ravel().tolist()
        return inputs if inputs.ndim == dimensions + 1 else [inputs]
    if isinstance(inputs, str | bytes | bytearray | os.PathLike) or hasattr(inputs, "getexif"):
        return [inputs]
    return list(inputs) if isinstance(inputs, Iterator) else inputs
