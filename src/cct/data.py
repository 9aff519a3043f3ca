"""Data sources: their descriptors, the formats they come in, and the arrays they become."""

import gzip
import hashlib
import json
import math
import tarfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from cct.errors import CCTError
from cct.files import digest
from cct.params import Section, parse, read_yaml


class DataError(CCTError):
    """A data source, or an archive it names, is not what it must be."""


class DataParams(Section):
    """`data` in `params.yaml`."""

    source: str = Field(min_length=1, description="path of a descriptor such as data/sources/cifar10.yaml")


class PreprocessParams(Section):
    """`preprocess` in `params.yaml`."""

    train_fraction: float = Field(gt=0, le=1, description="share of the training images that is used at all")
    validation_fraction: float = Field(gt=0, lt=1, description="share of the training images, between 0 and 1")
    seed: int = Field(ge=0, lt=2**32, description="chooses the images of both")


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Source(Section):
    """A descriptor: what a data set is called, what it looks like, and where its one file is found."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="short name of the data set")
    format: Literal["cifar10-binary", "cifar100-binary", "digits-csv"] = Field(description="layout of the file")
    classes: list[str] = Field(min_length=2, description="class names in the order of their labels")
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the file on disk, without a folder")
    size: int = Field(gt=0, description="bytes")
    sha256: Sha256 = Field(description="64 hexadecimal digits")
    urls: list[str] = Field(
        min_length=1, description="http(s)://, file:// or package: addresses or paths, tried in this order"
    )

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str]) -> list[str]:
        twice = sorted({name for name in classes if classes.count(name) > 1})
        if twice:
            raise ValueError(f"class names must differ, but these stand twice: {', '.join(twice)}")
        return classes


def read_source(path: Path) -> Source:
    """Read and check a descriptor.

    Raises:
        ParamsError: it is absent or has mistakes.
    """
    return parse(Source, read_yaml(path), where=path)


class Arrays(NamedTuple):
    """Pictures and labels as a source delivers them."""

    train_images: np.ndarray  # (n, h, w, c) uint8
    train_labels: np.ndarray  # (n,) int64
    test_images: np.ndarray
    test_labels: np.ndarray


class Layout(NamedTuple):
    """Where a CIFAR binary archive keeps its records: label bytes (the last one counts), then 3072 pixels, CHW."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int


CIFAR = {
    "cifar10-binary": Layout(
        tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        ("cifar-10-batches-bin/test_batch.bin",),
        label_bytes=1,
    ),
    # Coarse label, then fine label.
    "cifar100-binary": Layout(("cifar-100-binary/train.bin",), ("cifar-100-binary/test.bin",), label_bytes=2),
}
CIFAR_SHAPE = (3, 32, 32)
# Digits come without a test split. Which pictures are in it belongs to the data set, not to an experiment.
DIGITS_TEST_FRACTION, DIGITS_TEST_SEED = 0.2, 0


def read_arrays(source: Source, path: Path) -> Arrays:
    """Read the verified file of a source.

    Raises:
        DataError: it is absent, or its content is not of the format that the descriptor names.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there: run dvc repro download")
    if source.format == "digits-csv":
        return _read_digits(path, classes=len(source.classes))
    return _read_cifar(path, CIFAR[source.format], classes=len(source.classes))


def _read_cifar(path: Path, layout: Layout, *, classes: int) -> Arrays:
    batches: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    wanted = {*layout.train, *layout.test}
    try:
        # A stream: members are read where they stand, and nothing is ever written to disk. Unzipped by gzip, not by
        # tarfile, which checks neither the CRC nor that the end is there.
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if member.name not in wanted:
                        continue
                    if not member.isreg():
                        raise DataError(f"{path}: {member.name} is not a plain file")
                    if member.name in batches:
                        raise DataError(f"{path}: {member.name} stands there twice")
                    content = archive.extractfile(member).read()
                    batches[member.name] = _records(f"{path}: {member.name}", content, layout.label_bytes, classes)
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        done = f" after {', '.join(batches)}" if batches else ""
        raise DataError(f"{path}: damaged or not a .tar.gz archive{done}: {error}") from error
    missing = sorted(wanted - batches.keys())
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing from the archive")

    def join(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        labels = np.concatenate([batches[name][1] for name in names])
        images = np.empty((len(labels), *CIFAR_SHAPE[1:], CIFAR_SHAPE[0]), np.uint8)
        start = 0
        for name in names:
            part, _ = batches.pop(name)  # its bytes are free as soon as they are copied
            images[start : start + len(part)] = part.transpose(0, 2, 3, 1)
            start += len(part)
        return images, labels

    return Arrays(*join(layout.train), *join(layout.test))


def _records(where: str, content: bytes, label_bytes: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    size = label_bytes + int(np.prod(CIFAR_SHAPE))
    if not content or len(content) % size:
        offset = len(content) - len(content) % size
        raise DataError(
            f"{where}: {len(content):,} bytes are not whole records of {size}: the one at offset {offset:,} is cut off"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = records[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= classes:
        index = int(np.argmax(labels >= classes))
        raise DataError(
            f"{where}: label {labels[index]} at offset {index * size + label_bytes - 1:,}, "
            f"but there are {classes} classes (0 to {classes - 1})"
        )
    return records[:, label_bytes:].reshape(-1, *CIFAR_SHAPE), labels


def _read_digits(path: Path, *, classes: int) -> Arrays:
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.int64)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{path}: damaged or not a gzipped table of numbers: {error}") from error
    if table.shape[1:] != (65,) or not len(table) or table[:, :64].min() < 0 or table[:, :64].max() > 16:
        raise DataError(f"{path}: expected rows of 64 pixels from 0 to 16 and a label, found a table of {table.shape}")
    labels = table[:, 64].copy()
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: labels from {labels.min()} to {labels.max()}, but there are {classes} classes")
    images = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train, test = stratified_split(labels, DIGITS_TEST_FRACTION, seed=DIGITS_TEST_SEED)
    return Arrays(images[train], labels[train], images[test], labels[test])


def stratified_split(
    labels: np.ndarray, fraction: float, *, seed: int, name: str = "validation_fraction"
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `fraction` of each class at random.

    Args:
        labels: (n,).
        fraction: between 0 and 1; of each class, to the nearest picture.
        name: of the parameter in `preprocess` that the fraction is.

    Returns:
        Indices that stay and indices that were chosen, both ascending.

    Raises:
        DataError: a class would be left empty on either side.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = round(len(members) * fraction)
        if not 0 < count < len(members):
            raise DataError(
                f"a fraction of {fraction} takes {count} of the {len(members)} pictures with label {label}: "
                f"each class needs at least one on both sides; choose another preprocess.{name}"
            )
        chosen.append(generator.permutation(members)[:count])
    picked = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), picked), picked


def _train_and_val(labels: np.ndarray, preprocess: PreprocessParams) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and the validation pictures among those of `labels`, ascending."""
    used = np.arange(len(labels))
    if preprocess.train_fraction < 1:
        _, used = stratified_split(labels, preprocess.train_fraction, seed=preprocess.seed, name="train_fraction")
    train, val = stratified_split(labels[used], preprocess.validation_fraction, seed=preprocess.seed)
    return used[train], used[val]


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
        DataError: a class has no training picture or would lose its last by the split, or a channel is constant.
    """
    counts = np.bincount(arrays.train_labels, minlength=len(source.classes))
    if not counts.all():
        absent = ", ".join(source.classes[label] for label in np.flatnonzero(counts == 0))
        raise DataError(f"{source.name}: no training picture of {absent}: the descriptor names too many classes")
    train, val = _train_and_val(arrays.train_labels, preprocess)
    training_images = arrays.train_images[train]
    mean, std = channel_statistics(training_images)
    if min(std) == 0:
        raise DataError(f"{source.name}: a channel has one value in all training pictures")
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
        digests[name] = digest(folder / f"{name}.npy")
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
    """Pictures (n, h, w, c), memory-mapped, and labels (n,) of one split.

    Raises:
        DataError: they are not there.
    """
    try:
        return np.load(folder / f"{split}_images.npy", mmap_mode="r"), np.load(folder / f"{split}_labels.npy")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder}: the {split} split cannot be read ({error}): run dvc repro preprocess") from error
