"""IDX files, the format of MNIST and of the data sets that replace it."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cct.data.arrays import Arrays, DataError
from cct.data.formats.gzipped import BoundedGzipFile, require_readable

FILES = ("train_images", "train_labels", "test_images", "test_labels")
UNSIGNED_BYTES = 0x08  # the type of values that the third byte names


def read_idx(paths: Mapping[str, Path], classes: int) -> Arrays:
    """Read grey images and labels from four IDX files, each plain or gzipped.

    Args:
        paths: a path for each role of `FILES`.
        classes: number of classes.

    Returns:
        Images of shape (n, h, w, 1).

    Raises:
        DataError: a file is damaged or not an IDX file of bytes, or images and labels do not fit each other.
    """
    found = []
    for split in ("train", "test"):
        images = _read(paths[f"{split}_images"], dimensions=3)
        path = paths[f"{split}_labels"]
        labels = _read(path, dimensions=1).astype(np.int64)
        if len(labels) != len(images):
            raise DataError(f"{path}: {len(labels):,} labels for {len(images):,} images")
        if labels.max() >= classes:
            raise DataError(f"{path}: labels up to {labels.max()}, but there are {classes} classes")
        found += [images[..., None], labels]
    if found[0].shape[1:] != found[2].shape[1:]:
        sizes = " and ".join("x".join(map(str, images.shape[1:3])) for images in (found[0], found[2]))
        raise DataError(f"{paths['test_images']}: training and test images have different sizes: {sizes}")
    return Arrays(*found)


def _read(path: Path, *, dimensions: int) -> np.ndarray:
    """The array of one file.

    A file begins with two zero bytes, the type of its values and the number of dimensions. The length of each dimension
    follows in four bytes, the highest first, and then the values.
    """
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        with BoundedGzipFile(path) if gzipped else path.open("rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        require_readable(path, error)
        raise DataError(f"{path}: damaged: {error}") from error
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UNSIGNED_BYTES, dimensions]) or len(content) < start:
        raise DataError(f"{path}: not an IDX file of bytes with {dimensions} dimension{'s' * (dimensions > 1)}")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected or not shape[0]:
        raise DataError(f"{path}: {len(content):,} bytes, but its header says {expected:,} for {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
