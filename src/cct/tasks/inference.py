"""How a trained model is used, by task. To add a task, write its functions and an entry in `INFERENCE_TASKS`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from cct.tasks.image_classification import inference as images
from cct.tasks.inputs import Input


class InputReader(Protocol):
    """Turns a user's inputs into the arrays that preprocessing would have made of them.

    Attributes:
        shape: of one input of the model.
    """

    shape: tuple[int, ...]

    def arrays(self, inputs: Sequence[Any]) -> np.ndarray:
        """The inputs of the model, (n, ...).

        Raises:
            CCTError: an input is not one of this task.
        """


class InferenceTask(NamedTuple):
    """The functions of a task for trained models.

    Attributes:
        describe_input: the model's input, from meta.json.
        reader: the reader for what the metadata of a model's file says of its inputs.
        attention: the share of each part of the inputs in the output of a Keras model.
    """

    describe_input: Callable[[Mapping[str, Any]], Input]
    reader: Callable[[Mapping[str, Any], Path], InputReader]
    attention: Callable[[Any, np.ndarray], Any]


INFERENCE_TASKS = {"image_classification": InferenceTask(images.describe_input, images.ImageReader, images.attention)}
