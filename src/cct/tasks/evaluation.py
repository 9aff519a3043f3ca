"""The functions for evaluation, by task. To add a task, write its functions and an entry in `EVALUATION_TASKS`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cct.models.architectures import ModelParams
from cct.tasks.image_classification import evaluation as images
from cct.tasks.text_classification import evaluation as texts

if TYPE_CHECKING:
    import keras


class EvaluationTask(NamedTuple):
    """The functions of a task that `evaluate` calls.

    Attributes:
        macs: multiply-adds of a prediction, from the `model` section and the content of meta.json.
        relevance: the share of each part of the inputs in the model's output, (n, ...).
    """

    macs: Callable[[ModelParams, Mapping[str, Any]], int]
    relevance: Callable[["keras.Model", np.ndarray], np.ndarray]


EVALUATION_TASKS = {
    "image_classification": EvaluationTask(images.macs, images.relevance),
    "text_classification": EvaluationTask(texts.macs, texts.relevance),
}
