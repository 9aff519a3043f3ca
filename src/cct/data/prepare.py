"""Turns a source's arrays into the processed arrays of all splits."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.arrays import Arrays, DataError
from cct.data.sources import Source
from cct.data.splits import PreprocessParams, train_and_validation
from cct.data.store import INPUTS, LABELS, META, SPLITS
from cct.files import sha256_of_file


def write_processed(
    folder: Path,
    source: Source,
    arrays: Arrays,
    preprocess: PreprocessParams,
    *,
    task: str,
    describe: Callable[[np.ndarray], dict[str, Any]],
) -> dict[str, Any]:
    """Choose the validation split, and write inputs and labels of every split and `meta.json` into `folder`.

    Args:
        folder: the folder to write; it is made.
        source: the descriptor of the arrays.
        arrays: the training and test examples.
        preprocess: the fractions and the seed of the choice.
        task: the task of the examples.
        describe: returns the task's facts about the training inputs, for meta.json.

    Returns:
        The content of meta.json.

    Raises:
        DataError: a class has no training example or would lose its last one, or `describe` refuses the inputs.
    """
    classes = len(source.classes)
    splits = _split(source, arrays, preprocess)
    try:
        described = describe(splits["train"][0])
    except DataError as error:
        raise DataError(f"{source.name}: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    digests = _write_arrays(folder, splits)
    meta = {
        "name": source.name,
        "task": task,
        "classes": source.classes,
        "examples": {split: len(splits[split][1]) for split in SPLITS},
        "examples_per_class": {split: np.bincount(splits[split][1], minlength=classes).tolist() for split in SPLITS},
        **described,
        "source_sha256": {role: file.sha256 for role, file in source.files.items()},
        "sha256": digests,
        "digest": hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest(),
    }
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return meta


def _split(source: Source, arrays: Arrays, preprocess: PreprocessParams) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and labels by split."""
    counts = np.bincount(arrays.train_labels, minlength=len(source.classes))
    if not counts.all():
        absent = ", ".join(source.classes[label] for label in np.flatnonzero(counts == 0))
        raise DataError(f"{source.name}: no training example of {absent}: the descriptor names too many classes")
    train, val = train_and_validation(arrays.train_labels, preprocess)
    return {
        "train": (arrays.train_inputs[train], arrays.train_labels[train]),
        "val": (arrays.train_inputs[val], arrays.train_labels[val]),
        "test": (arrays.test_inputs, arrays.test_labels),
    }


def _write_arrays(folder: Path, splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, str]:
    """Write the arrays. Returns the sha256 of each file by its name without the suffix."""
    digests = {}
    for split, arrays in splits.items():
        for pattern, array in zip((INPUTS, LABELS), arrays, strict=True):
            path = folder / pattern.format(split)
            np.save(path, array)
            digests[path.stem] = sha256_of_file(path)
    return digests
