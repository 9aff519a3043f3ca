"""The inputs that a user names in the shell, read some at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Chunk(NamedTuple):
    """Some inputs in their order.

    Attributes:
        names: what each is called in a table.
        arrays: the model's inputs of the good ones, (m, ...).
        errors: why each of the others cannot be used, by its place.
        shown: the good ones as a figure shows them: images as the arrays, texts as they are.
    """

    names: Sequence[str]
    arrays: np.ndarray
    errors: Mapping[int, str]
    shown: Sequence[Any]


class Named(NamedTuple):
    """All inputs.

    Attributes:
        count: how many there are.
        unit: what they are, in the plural.
        chunks: the inputs in their order, some at a time.
        is_path: whether a name is that of a file, whose end says most; the start of a text does.
    """

    count: int
    unit: str
    chunks: Iterator[Chunk]
    is_path: Callable[[str], bool] = lambda name: True
