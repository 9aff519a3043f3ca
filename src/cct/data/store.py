"""The processed arrays: plain `.npy` files and `meta.json`, as the later stages read them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.arrays import DataError

SPLITS = ("train", "val", "test")
INPUTS, LABELS, META = "{}_inputs.npy", "{}_labels.npy", "meta.json"
VECTORS = "vectors"  # where words have pretrained vectors: vectors.npy, a row for each word, NaN if it has none
TEXTS = "texts.jsonl"  # where the examples are texts: split, index, text and label of each


def read_meta(folder: Path) -> dict[str, Any]:
    """The content of `meta.json`, as `cct.data.prepare` wrote it.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / META} cannot be read ({error}): run dvc repro preprocess") from error


def data_set(meta: Mapping[str, Any]) -> dict[str, str]:
    """The identity of a data set: its `name`, the `digest` of all splits, and the `test_digest` of the test split.

    If name and test digest are equal, results on the test split can be compared, whatever the training data.
    """
    files = [Path(name.format("test")).stem for name in (INPUTS, LABELS)]
    test = json.dumps([meta["sha256"][name] for name in files])
    return {"name": meta["name"], "digest": meta["digest"], "test_digest": hashlib.sha256(test.encode()).hexdigest()}


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The inputs (n, ...), memory-mapped, and the labels (n,) of one split.

    Raises:
        DataError: a file cannot be read.
    """
    try:
        inputs = np.load(folder / INPUTS.format(split), mmap_mode="r")
        return inputs, np.load(folder / LABELS.format(split))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder}: the {split} split cannot be read ({error}): run dvc repro preprocess") from error


def read_texts(folder: Path, split: str) -> list[str]:
    """The text of each example of a split, in the order of its arrays.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with (folder / TEXTS).open(encoding="utf-8") as file:
            rows = map(json.loads, file)
            return [row["text"] for row in rows if row["split"] == split]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / TEXTS} cannot be read ({error}): run dvc repro preprocess") from error


def word_dim(meta: Mapping[str, Any]) -> int | None:
    """The width of the vectors of words, from the content of meta.json; None if the data have none."""
    return meta.get("embeddings", {}).get("word_dim")


def read_vectors(folder: Path) -> np.ndarray:
    """The vectors (v, d) of the vocabulary, float32; rows of NaN for words without one.

    Raises:
        DataError: the file cannot be read.
    """
    path = folder / f"{VECTORS}.npy"
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}): run dvc repro preprocess") from error
