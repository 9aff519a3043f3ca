"""The handwritten digits in the package of scikit-learn."""

import io
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cct.data.arrays import Arrays, DataError
from cct.data.formats.gzipped import BoundedGzipFile, require_readable
from cct.data.splits import stratified_split

# The file has no test split. This one belongs to the data set, not to an experiment.
TEST_FRACTION, TEST_SEED = 0.2, 0


def read_digits(paths: Mapping[str, Path], classes: int) -> Arrays:
    """Read a gzipped table of 64 pixels from 0 to 16 and a label in each row.

    Args:
        paths: {"table": path}.
        classes: number of classes.

    Raises:
        DataError: the file is damaged, or has pixels or labels out of range.
    """
    path = paths["table"]
    try:
        with (
            warnings.catch_warnings(),
            BoundedGzipFile(path) as file,
            io.TextIOWrapper(file, encoding="ascii") as lines,
        ):
            warnings.simplefilter("ignore")  # about an empty table, which is refused below
            table = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.int64)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        require_readable(path, error)
        raise DataError(f"{path}: damaged or not a gzipped table of numbers: {error}") from error
    if table.shape[1:] != (65,) or not len(table) or table[:, :64].min() < 0 or table[:, :64].max() > 16:
        raise DataError(f"{path}: expected rows of 64 pixels from 0 to 16 and a label, found a table of {table.shape}")
    labels = table[:, 64].copy()
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: labels from {labels.min()} to {labels.max()}, but there are {classes} classes")
    images = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    remedy = f"the test split takes {100 * TEST_FRACTION:.0f} % of each class, so add examples with this label"
    try:
        train, test = stratified_split(labels, TEST_FRACTION, seed=TEST_SEED, remedy=remedy)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return Arrays(images[train], labels[train], images[test], labels[test])
