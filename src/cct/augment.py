"""Random changes of training pictures, each a function of (seed, epoch, picture) and of nothing else.

Draws and pixels are NumPy on the host, so they are the same on every backend.
"""

from typing import NamedTuple

import numpy as np

from cct.recipe import AugmentParams

# One stream of random numbers for each purpose, so that a new one does not change the others.
ORDER, CROP, FLIP = range(3)


class Draws(NamedTuple):
    """What happens to each of n pictures in one epoch."""

    row_n: np.ndarray  # first row of the crop, 0..2*padding
    column_n: np.ndarray
    flip_n: np.ndarray  # bool


def stream(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose in one epoch (0-based)."""
    return np.random.default_rng([seed, epoch, purpose])


def draw(augment: AugmentParams, *, seed: int, epoch: int, count: int) -> Draws:
    """Draw for `count` pictures at once; entry i belongs to picture i whatever its place in the epoch."""
    row_n, column_n = stream(seed, epoch, CROP).integers(0, 2 * augment.crop_padding + 1, (2, count))
    flip_n = stream(seed, epoch, FLIP).random(count) < 0.5
    return Draws(row_n, column_n, flip_n if augment.horizontal_flip else np.zeros(count, bool))


def apply(images_nhwc: np.ndarray, draws: Draws, *, padding: int) -> np.ndarray:
    """Crop each picture, black outside its border, at its own place, and flip it left to right where drawn.

    Returns:
        Pictures of the same shape and dtype.
    """
    n, height, width, _ = images_nhwc.shape
    padded = np.pad(images_nhwc, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows_nh = draws.row_n[:, None] + np.arange(height)
    columns_nw = np.where(draws.flip_n[:, None], np.arange(width)[::-1], np.arange(width)) + draws.column_n[:, None]
    return padded[np.arange(n)[:, None, None], rows_nh[:, :, None], columns_nw[:, None, :]]
