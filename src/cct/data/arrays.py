"""The arrays of a data source."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from cct.errors import CCTError


class DataError(CCTError):
    """A data source, or a file that it names, is missing or wrong."""


def unfit_class_names(names: Iterable[str]) -> str:
    """Says which names of classes a report, a metric or a table cannot hold; empty if all are fit."""
    unfit = sorted(name for name in names if not name or name != name.strip() or not name.isprintable())
    if not unfit:
        return ""
    return (
        f"class names must be printable text without spaces around it, but these are not: "
        f"{', '.join(ascii(name[:100]) for name in unfit[:5])}"
    )


class Arrays(NamedTuple):
    """Examples and labels, as the reader of a format returns them."""

    train_inputs: np.ndarray  # images: (n, h, w, c) uint8
    train_labels: np.ndarray  # (n,) int64
    test_inputs: np.ndarray
    test_labels: np.ndarray
