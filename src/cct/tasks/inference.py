"""How a trained model is used, by task. To add a task, write its functions and an entry in `INFERENCE_TASKS`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from cct.tasks.image_classification import files
from cct.tasks.image_classification import inference as images
from cct.tasks.inputs import Input
from cct.tasks.named import Named
from cct.tasks.text_classification import inference as texts
from cct.tasks.text_classification import named


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
        named: the inputs that a user names in the shell.
        from_request: from a reader and what a server gets to arrays. None: it gets a batch of the arrays' numbers.
    """

    describe_input: Callable[[Mapping[str, Any]], Input]
    reader: Callable[[Mapping[str, Any], Path], InputReader]
    named: Callable[[Sequence[str]], Named]
    from_request: Callable[[Any, Any], np.ndarray] | None = None


INFERENCE_TASKS = {
    "image_classification": InferenceTask(images.describe_input, images.ImageReader, files.named_images),
    "text_classification": InferenceTask(texts.describe_input, texts.TextReader, named.named_texts, texts.from_request),
}
