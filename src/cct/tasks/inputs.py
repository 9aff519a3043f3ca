"""What a model takes."""

from typing import NamedTuple

import numpy as np


class Input(NamedTuple):
    """What a task's model takes: its name, type, shape without the batch, and an example of a batch of one."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    example: np.ndarray
