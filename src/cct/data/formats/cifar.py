"""The binary archives of CIFAR-10 and CIFAR-100."""

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cct.data.arrays import Arrays
from cct.data.sources import DataError


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


def read_cifar(path: Path, layout: Layout, *, classes: int) -> Arrays:
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
