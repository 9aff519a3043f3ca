"""How a trained model is used, by task. To add a task, write its functions and an entry in `INFERENCE_TASKS`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from cct.tasks.image_classification import explaining as image_figures
from cct.tasks.image_classification import files as image_files
from cct.tasks.image_classification import inference as images
from cct.tasks.inputs import Input
from cct.tasks.named import Named
from cct.tasks.text_classification import explaining as text_figures
from cct.tasks.text_classification import inference as texts
from cct.tasks.text_classification import named as text_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class InputReader(Protocol):
    """Turns a user's inputs into the arrays that preprocessing would have made of them.

    Attributes:
        shape: of one input of the model.
    """

    shape: tuple[int, ...]

    def arrays(self, inputs: Sequence[Any], *, first: int = 0) -> np.ndarray:
        """The inputs of the model, (n, ...).

        Args:
            inputs: those of a user.
            first: the place of the first one among all inputs of the user, for messages.

        Raises:
            CCTError: an input is not one of this task.
        """

    def warnings(self, arrays: np.ndarray) -> list[str]:
        """Why the prediction of each of the model's inputs (n, ...) means little; empty where nothing says so."""

    def random(self, count: int) -> np.ndarray:
        """Inputs of the model (count, ...) that mean nothing, always the same: to try it without data."""


class Explaining(NamedTuple):
    """How a task shows what a model looked at. Each function gets the reader of the model first.

    Attributes:
        figure: inputs as `Chunk.shown`, name and prediction of each, and their attention.
        lines: inputs and their attention, to a text of one or more lines for the shell; empty if it can show nothing.
        as_json: one input and its attention, to JSON values for a page.
    """

    figure: Callable[[Any, Sequence[Any], Sequence[tuple[str, str]], Any], "Figure"]
    lines: Callable[[Any, Sequence[Any], Any], Iterator[str]]
    as_json: Callable[[Any, Any, Any], dict[str, Any]]


class InferenceTask(NamedTuple):
    """The functions of a task for trained models.

    Attributes:
        describe_input: the model's input, from meta.json.
        reader: the reader for what the metadata of a model's file says of its inputs.
        named: the inputs that a user names in the shell, for a reader.
        attention: the share of each part of the inputs in the output of a Keras model.
        explaining: how that is shown.
        from_request: from a reader and what a server gets to arrays. None: it gets a batch of the arrays' numbers.
    """

    describe_input: Callable[[Mapping[str, Any]], Input]
    reader: Callable[[Mapping[str, Any], Path], InputReader]
    named: Callable[[Sequence[str], Any], Named]
    attention: Callable[[Any, np.ndarray], Any]
    explaining: Explaining
    from_request: Callable[[Any, Any], np.ndarray] | None = None


INFERENCE_TASKS = {
    "image_classification": InferenceTask(
        images.describe_input,
        images.ImageReader,
        image_files.named_images,
        images.attention,
        Explaining(image_figures.figure, image_figures.lines, image_figures.as_json),
    ),
    "text_classification": InferenceTask(
        texts.describe_input,
        texts.TextReader,
        text_names.named_texts,
        texts.attention,
        Explaining(text_figures.figure, text_figures.lines, text_figures.as_json),
        texts.from_request,
    ),
}
