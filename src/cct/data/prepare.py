"""Writes the processed arrays of all splits."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.data.arrays import Arrays, DataError
from cct.data.params import PreprocessParams
from cct.data.sources import Source
from cct.data.splits import TRAIN, VAL, assign_splits
from cct.data.store import INPUTS, LABELS, META, SPLITS, TEXTS
from cct.files import sha256_of_file

CHUNK_BYTES = 1 << 24  # of inputs that are copied at a time
FILES = "files.csv"


class Split(NamedTuple):
    """The examples of a split: rows of an array that may have others too."""

    inputs: np.ndarray  # (m, ...), in memory or memory-mapped
    row_n: np.ndarray  # (n,)
    label_n: np.ndarray  # (n,) int64


class Prepared(NamedTuple):
    """A data set whose splits are chosen.

    Attributes:
        name: the name of the data set.
        classes: names in the order of their labels.
        splits: the examples of each split.
        facts: more fields of meta.json.
        files: the file of each example of each split; None if the examples have no files of their own.
        texts: the text of each example of each split; None if they are no texts.
        digests: hexadecimal digests of what else identifies the data, by name.
        arrays: more arrays to write, by the name of the file.
        misplaced: of texts, the first one of each group of equal ones in several splits (leaks) or classes (conflicts).
    """

    name: str
    classes: Sequence[str]
    splits: Mapping[str, Split]
    facts: Mapping[str, Any]
    files: Mapping[str, Sequence[str]] | None = None
    texts: Mapping[str, Sequence[str]] | None = None
    digests: Mapping[str, str] = {}
    arrays: Mapping[str, np.ndarray] = {}
    misplaced: Mapping[str, Sequence[str]] = {}


def prepare_arrays(source: Source, arrays: Arrays, preprocess: PreprocessParams) -> Prepared:
    """Choose the validation split of arrays that have a training and a test split.

    Raises:
        DataError: a class has no training example, or is too small for a split.
    """
    labels = arrays.train_labels
    try:
        split_n = assign_splits(
            labels, np.full(len(labels), TRAIN), preprocess, classes=source.classes, test_is_separate=True
        )
    except DataError as error:
        raise DataError(f"{source.name}: {error}") from error
    train, val = (np.flatnonzero(split_n == split) for split in (TRAIN, VAL))
    return Prepared(
        name=source.name,
        classes=source.classes,
        splits={
            "train": Split(arrays.train_inputs, train, labels[train]),
            "val": Split(arrays.train_inputs, val, labels[val]),
            "test": Split(arrays.test_inputs, np.arange(len(arrays.test_labels)), arrays.test_labels),
        },
        facts={
            "resize": preprocess.resize,
            "background": preprocess.background,
            "source_sha256": {role: file.sha256 for role, file in source.files.items()},
        },
    )


def write_processed(
    folder: Path,
    prepared: Prepared,
    *,
    task: str,
    describe: Callable[[np.ndarray], dict[str, Any]],
    convert: Callable[[np.ndarray], np.ndarray] = lambda inputs: inputs,
) -> dict[str, Any]:
    """Write inputs and labels of every split and `meta.json` into `folder`, in bounded memory.

    Args:
        folder: the folder to write; it is made, and removed if `describe` refuses the inputs.
        prepared: the data set.
        task: the task of the examples.
        describe: returns the task's facts about the training inputs, for meta.json.
        convert: changes a batch of inputs before it is written.

    Returns:
        The content of meta.json.

    Raises:
        DataError: `describe` refuses the inputs.
        OSError: the disk is full.
    """
    splits = prepared.splits
    folder.mkdir(parents=True, exist_ok=True)
    for split, examples in splits.items():
        _write_array(folder / INPUTS.format(split), map(convert, _batches(examples)), count=len(examples.row_n))
        np.save(folder / LABELS.format(split), examples.label_n)
    try:
        described = describe(np.load(folder / INPUTS.format("train"), mmap_mode="r"))
    except DataError as error:
        shutil.rmtree(folder)
        raise DataError(f"{prepared.name}: {error}") from error
    if prepared.files is not None:
        _write_files(folder / FILES, prepared)
    if prepared.texts is not None:
        _write_texts(folder / TEXTS, prepared)
    for name, array in prepared.arrays.items():
        np.save(folder / f"{name}.npy", array)
    names = [Path(name.format(split)).stem for split in SPLITS for name in (INPUTS, LABELS)]
    names += prepared.arrays
    digests = {name: sha256_of_file(folder / f"{name}.npy") for name in names} | {**prepared.digests}
    meta = {
        "name": prepared.name,
        "task": task,
        "classes": list(prepared.classes),
        "examples": {split: len(splits[split].label_n) for split in SPLITS},
        "examples_per_class": {
            split: np.bincount(splits[split].label_n, minlength=len(prepared.classes)).tolist() for split in SPLITS
        },
        **described,
        **prepared.facts,
        "sha256": digests,
        "digest": hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest(),
    }
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return meta


def _batches(examples: Split) -> Iterator[np.ndarray]:
    size = max(1, CHUNK_BYTES // max(1, examples.inputs[:1].nbytes))
    for start in range(0, max(1, len(examples.row_n)), size):  # one batch, which is empty, of a split without examples
        yield examples.inputs[examples.row_n[start : start + size]]


def _write_array(path: Path, batches: Iterator[np.ndarray], *, count: int) -> None:
    """Write batches as one array of `count` rows, in the same bytes as `np.save`."""
    with path.open("wb") as file:
        for number, batch in enumerate(batches):
            if number == 0:
                descr = np.lib.format.dtype_to_descr(batch.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (count, *batch.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(batch).data)


def _write_files(path: Path, prepared: Prepared) -> None:
    """A table that names the file of each example."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["split", "index", "file", "label"])
        for split, index, name, label in _listed(prepared, prepared.files):
            table.writerow([split, index, name, label])


def _write_texts(path: Path, prepared: Prepared) -> None:
    """The text of each example, a JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for split, index, text, label in _listed(prepared, prepared.texts):
            row = {"split": split, "index": index, "text": text, "label": label}
            file.write(json.dumps(row) + "\n")


def _listed(prepared: Prepared, listed: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, int, str, str]]:
    """Split, index, name or text, and class of each example."""
    for split, names in listed.items():
        labels = prepared.splits[split].label_n
        for index, (name, label) in enumerate(zip(names, labels, strict=True)):
            yield split, index, name, prepared.classes[label]
