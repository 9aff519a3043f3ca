"""Image classification: the shape of the images, and the statistics of their channels."""

import math
from typing import Any

import numpy as np

from cct.data.arrays import DataError


def describe(images_nhwc: np.ndarray) -> dict[str, Any]:
    """The fields of meta.json about images.

    Args:
        images_nhwc: the training images, uint8.

    Raises:
        DataError: a channel is constant, so it cannot be standardized.
    """
    mean, std = channel_statistics(images_nhwc)
    if min(std) == 0:
        raise DataError("a channel has one value in all training images: check the archive, or use more images")
    return {"image_shape": list(images_nhwc.shape[1:]), "mean": mean, "std": std}


def channel_statistics(images_nhwc: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in units of 0..1, exact from counts of the 256 values."""
    values = np.arange(256)
    means, deviations = [], []
    for channel in range(images_nhwc.shape[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images_nhwc), 4096):  # bincount converts its input, so this bounds the memory
            counts += np.bincount(images_nhwc[start : start + 4096, ..., channel].ravel(), minlength=256)
        # Python's integers are exact until the last division, so a constant channel has a deviation of exactly 0.
        n, total, squares = int(counts.sum()), int(counts @ values), int(counts @ values**2)
        means.append(total / (255 * n))
        deviations.append(math.sqrt(n * squares - total**2) / (255 * n))
    return means, deviations
