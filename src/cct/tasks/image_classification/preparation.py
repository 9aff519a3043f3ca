"""Image classification: the images of a source, the statistics of their channels, and their size in the arrays."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.arrays import DataError
from cct.data.formats.registry import FORMATS
from cct.data.images.decoded import FOLDER
from cct.data.images.decoding import ImageOptions, colour_of, fit_array
from cct.data.images.source import list_images, prepare_images
from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared, prepare_arrays
from cct.data.sources import LocalSource, Source, read_arrays, source_files
from cct.files import sha256_of_file
from cct.pipeline import stage_code_files
from cct.repository import repository_root

CHUNK_BYTES = 1 << 24


@contextlib.contextmanager
def prepare(source: Source | LocalSource, preprocess: PreprocessParams, raw: Path) -> Iterator[Prepared]:
    """The images of a source. Decoded ones are on disk while the context is open, and after an interruption.

    Args:
        source: the source.
        preprocess: all options.
        raw: the folder with the files of a descriptor.

    Raises:
        DataError: the source cannot be read, or a class is too small.
    """
    local = isinstance(source, LocalSource)
    if not local and FORMATS[source.format].read:
        yield prepare_arrays(source, read_arrays(source, raw), preprocess)
        return
    path = source.path if local else source_files(source, raw)["archive"]
    with prepare_images(
        list_images(path, preprocess.class_folder),
        preprocess,
        name=source.name,
        classes=None if local else source.classes,
        folder=repository_root() / FOLDER,
        made_by=[sha256_of_file(file) for file in stage_code_files("preprocess")],
    ) as prepared:
        yield prepared


def describe(images_nhwc: np.ndarray) -> dict[str, Any]:
    """The fields of meta.json about images.

    Args:
        images_nhwc: the training images, uint8, in memory or memory-mapped.

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
    channels = images_nhwc.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    size = max(1, CHUNK_BYTES // max(1, images_nhwc[:1].nbytes))  # bincount converts its input, so this bounds memory
    for start in range(0, len(images_nhwc), size):
        chunk = np.asarray(images_nhwc[start : start + size])
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    means, deviations = [], []
    for count in counts:
        # Python's integers are exact until the last division, so a constant channel has a deviation of exactly 0.
        n, total, squares = int(count.sum()), int(count @ values), int(count @ values**2)
        means.append(total / (255 * n))
        deviations.append(math.sqrt(n * squares - total**2) / (255 * n))
    return means, deviations


def converter(shape_hwc: tuple[int, ...], preprocess: PreprocessParams) -> Callable[[np.ndarray], np.ndarray] | None:
    """Brings a batch of images (n, height, width, channels) to the size and channels in `preprocess`.

    None if they have these already.
    """
    height, width, channels = shape_hwc
    size = preprocess.image_size or [height, width]
    size = [size, size] if isinstance(size, int) else size
    wanted = {"auto": channels, "grey": 1, "rgb": 3}[preprocess.channels]
    if (*size, wanted) == shape_hwc:
        return None
    options = ImageOptions(*size, wanted, preprocess.resize, colour_of(preprocess.background))
    return lambda images: np.stack([fit_array(image, options) for image in images])
