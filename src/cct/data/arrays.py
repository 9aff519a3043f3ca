"""The arrays of a data source."""

from typing import NamedTuple

import numpy as np

from cct.errors import CCTError


class DataError(CCTError):
    """A data source, or a file that it names, is missing or wrong."""


class Arrays(NamedTuple):
    """Examples and labels, as the reader of a format returns them."""

    train_inputs: np.ndarray  # images: (n, h, w, c) uint8
    train_labels: np.ndarray  # (n,) int64
    test_inputs: np.ndarray
    test_labels: np.ndarray
