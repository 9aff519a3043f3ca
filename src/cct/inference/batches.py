"""Checks the inputs sent to a model, and makes a batch of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cct.errors import CCTError


class InputError(CCTError):
    """The inputs are not a batch for this model."""


def as_batch(values: Any, *, dtype: str, shape: Sequence[int]) -> np.ndarray:
    """A checked batch of integers. A plain cast would silently turn 0.5 into 0, and 256 into 0.

    Args:
        values: an array, or nested lists. Images: pixels of 0..255, (n, height, width, channels).
        dtype: the type of the model's inputs, unsigned integers.
        shape: shape of one input, without the batch.

    Returns:
        The values as an array (n, *shape).

    Raises:
        InputError: the values are not numbers, have another shape, or are not whole numbers within the type.
    """
    expected = f"(n, {', '.join(map(str, shape))})"
    try:
        given = np.asarray(values)
        given = np.array(given.tolist()) if given.dtype == object else given
    except ValueError:
        raise InputError(f"the inputs must be one batch of shape {expected}, but have different lengths") from None
    if given.dtype.kind not in "iuf":
        raise InputError(f"the inputs must be numbers, in a batch of shape {expected}")
    if given.shape[1:] != tuple(shape) or given.ndim != len(shape) + 1:
        raise InputError(f"the inputs have the shape {given.shape}, but must be a batch of shape {expected}")
    highest = np.iinfo(dtype).max
    wrong = given[~((given >= 0) & (given <= highest) & (given == np.floor(given)))]
    if wrong.size:
        raise InputError(
            f"the inputs must be whole numbers of 0 to {highest}, but {_mistake(wrong[0], highest)}: give raw values, "
            "not scaled ones"
        )
    return given.astype(dtype)


def _mistake(value: np.number, highest: int) -> str:
    """The reason why a number is refused."""
    if value < 0:
        return f"{value} is below 0"
    if value > highest:
        return f"{value} is above {highest}"
    return f"{value} is not a whole number"  # also of NaN
