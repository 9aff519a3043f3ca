"""Inputs of a server, by the task of its model. To add a task, write a module with its readers, and an entry here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from cct.errors import CCTError
from cct.serving import images, texts
from cct.serving.bodies import Reader, Sent
from cct.serving.limits import Limits


class Decoder(Protocol):
    """Turns inputs as they were sent into the model's."""

    async def decode(self, inputs: Sequence[Sent]) -> list[np.ndarray | CCTError]:
        """The array of each input, or why it has none."""

    def close(self) -> None:
        """End its threads."""


class Kind(NamedTuple):
    """The inputs of a task.

    Attributes:
        one: the word for an input, in the singular.
        readers: of bodies, by media type.
        decoder: from the reader of a model and the limits to a decoder.
        shown: whether an explanation shows the text that was sent. Otherwise it shows the model's input.
    """

    one: str
    readers: Mapping[str, Reader]
    decoder: Callable[[Any, Limits], Decoder]
    shown: bool


KINDS = {
    "image_classification": Kind("image", images.READERS, images.ImageDecoder, shown=False),
    "text_classification": Kind("text", texts.READERS, texts.TextDecoder, shown=True),
}
