"""The inputs that a user names in the shell, read some at a time."""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


def fitting_paths(name: str) -> list[str]:
    """The file or folder of this name, or those that fit it as a pattern. Of what "**" fits, folders are left out.

    Raises:
        OSError, ValueError: no file can have this name.
    """
    if os.path.exists(name):
        return [name]
    paths = sorted(glob.glob(name, recursive=True))
    return [path for path in paths if not os.path.isdir(path)] if "**" in name else paths


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
