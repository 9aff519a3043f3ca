"""Images and labels as a data source delivers them."""

from typing import NamedTuple

import numpy as np


class Arrays(NamedTuple):
    """Images and labels as a source delivers them."""

    train_images: np.ndarray  # (n, h, w, c) uint8
    train_labels: np.ndarray  # (n,) int64
    test_images: np.ndarray
    test_labels: np.ndarray
