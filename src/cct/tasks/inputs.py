"""The input of a model."""

from typing import NamedTuple

import numpy as np


class Input(NamedTuple):
    """The input of a task's model: its name, type, shape without the batch, and an example (a batch of one)."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    example: np.ndarray
