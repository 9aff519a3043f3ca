"""The processed arrays: plain `.npy` files and `meta.json`."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.arrays import Arrays
from cct.data.sources import DataError, Source
from cct.data.splits import PreprocessParams, train_and_validation
from cct.files import sha256_of_file


def channel_statistics(images_nhwc: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in units of 0..1; exact, from counts of the 256 values."""
    values = np.arange(256)
    means, deviations = [], []
    for channel in range(images_nhwc.shape[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images_nhwc), 4096):  # bounds the memory that bincount's conversion takes
            counts += np.bincount(images_nhwc[start : start + 4096, ..., channel].ravel(), minlength=256)
        # Python's integers until the last division: a constant channel has a deviation of 0, not of 1e-17.
        n, total, squares = int(counts.sum()), int(counts @ values), int(counts @ values**2)
        means.append(total / (255 * n))
        deviations.append(math.sqrt(n * squares - total**2) / (255 * n))
    return means, deviations


SPLITS = ("train", "val", "test")


def write_processed(folder: Path, source: Source, arrays: Arrays, preprocess: PreprocessParams) -> dict[str, Any]:
    """Split, and write `{train,val,test}_{images,labels}.npy` and `meta.json` into `folder`.

    Returns:
        The content of `meta.json`.

    Raises:
        DataError: a class has no training image or would lose its last by the split, or a channel is constant.
    """
    counts = np.bincount(arrays.train_labels, minlength=len(source.classes))
    if not counts.all():
        absent = ", ".join(source.classes[label] for label in np.flatnonzero(counts == 0))
        raise DataError(f"{source.name}: no training image of {absent}: the descriptor names too many classes")
    train, val = train_and_validation(arrays.train_labels, preprocess)
    training_images = arrays.train_images[train]
    mean, std = channel_statistics(training_images)
    if min(std) == 0:
        raise DataError(f"{source.name}: a channel has one value in all training images")
    content = {
        "train_images": training_images,
        "train_labels": arrays.train_labels[train],
        "val_images": arrays.train_images[val],
        "val_labels": arrays.train_labels[val],
        "test_images": arrays.test_images,
        "test_labels": arrays.test_labels,
    }
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, array in content.items():
        np.save(folder / f"{name}.npy", array)
        digests[name] = sha256_of_file(folder / f"{name}.npy")
    meta = {
        "name": source.name,
        "classes": source.classes,
        "image_shape": list(training_images.shape[1:]),
        "images": {split: len(content[f"{split}_labels"]) for split in SPLITS},
        "images_per_class": {
            split: np.bincount(content[f"{split}_labels"], minlength=len(source.classes)).tolist() for split in SPLITS
        },
        "mean": mean,
        "std": std,
        "source_sha256": source.sha256,
        "sha256": digests,
        "digest": hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest(),
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return meta


def read_meta(folder: Path) -> dict[str, Any]:
    """`meta.json`, as `write_processed` wrote it.

    Raises:
        DataError: it is not there.
    """
    try:
        return json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}/meta.json cannot be read ({error}): run dvc repro preprocess") from error


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, h, w, c), memory-mapped, and labels (n,) of one split.

    Raises:
        DataError: they are not there.
    """
    try:
        return np.load(folder / f"{split}_images.npy", mmap_mode="r"), np.load(folder / f"{split}_labels.npy")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder}: the {split} split cannot be read ({error}): run dvc repro preprocess") from error
