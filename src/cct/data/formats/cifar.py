"""The binary archives of CIFAR-10 and CIFAR-100."""

import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cct.data.arrays import Arrays, DataError
from cct.data.formats.gzipped import BoundedGzipFile, require_readable


class Layout(NamedTuple):
    """The files of an archive. A record has label bytes, of which one counts, and 3072 pixels in CHW order."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    label: int  # index of the label byte that counts


CIFAR10 = Layout(
    tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
    ("cifar-10-batches-bin/test_batch.bin",),
    label_bytes=1,
    label=0,
)
# Coarse label, then fine label.
CIFAR100 = Layout(("cifar-100-binary/train.bin",), ("cifar-100-binary/test.bin",), label_bytes=2, label=1)
SHAPE = (3, 32, 32)


def read_cifar10(paths: Mapping[str, Path], classes: int) -> Arrays:
    """Read the archive of CIFAR-10, or an archive with its layout.

    Args:
        paths: {"archive": path}.
        classes: number of classes.

    Raises:
        DataError: the archive is damaged or incomplete, or has labels beyond the classes.
    """
    return _read(paths["archive"], CIFAR10, classes)


def read_cifar100(paths: Mapping[str, Path], classes: int) -> Arrays:
    """Read the archive of CIFAR-100 with its fine labels, or an archive with its layout.

    Raises:
        DataError: as `read_cifar10`.
    """
    return _read(paths["archive"], CIFAR100, classes)


def read_cifar100_coarse(paths: Mapping[str, Path], classes: int) -> Arrays:
    """Read the archive of CIFAR-100 with its 20 coarse labels, or an archive with its layout.

    Raises:
        DataError: as `read_cifar10`.
    """
    return _read(paths["archive"], CIFAR100._replace(label=0), classes)


def _read(path: Path, layout: Layout, classes: int) -> Arrays:
    batches = _read_batches(path, layout, classes)
    return Arrays(*_joined(batches, layout.train), *_joined(batches, layout.test))


def _read_batches(path: Path, layout: Layout, classes: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (n, c, h, w) and labels of each wanted member of the archive, by name."""
    wanted = {*layout.train, *layout.test}
    batches: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    try:
        # As a stream: nothing is written to disk. gzip unpacks it, because tarfile does not check the CRC or the end.
        with BoundedGzipFile(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if member.size > stream.limit:  # skipped members too: skipping may have no end
                        raise DataError(
                            f"{path}: {member.name[:100]} has {member.size:,} bytes, more than the limit of "
                            f"{stream.limit:,}: the archive is damaged"
                        )
                    if member.name not in wanted:
                        continue
                    if not member.isreg() or member.issparse():
                        raise DataError(f"{path}: {member.name} is not a plain file")
                    if member.name in batches:
                        raise DataError(f"{path}: {member.name} is a duplicate")
                    content = archive.extractfile(member).read()
                    batches[member.name] = _records(f"{path}: {member.name}", content, layout, classes)
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        require_readable(path, error)
        done = f" after {', '.join(batches)}" if batches else ""
        raise DataError(f"{path}: damaged or not a .tar.gz archive{done}: {error}") from error
    missing = sorted(wanted - batches.keys())
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing from the archive")
    return batches


def _joined(batches: dict[str, tuple[np.ndarray, np.ndarray]], names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, h, w, c) and labels of several batches, which are removed from `batches` to free their memory."""
    labels = np.concatenate([batches[name][1] for name in names])
    images = np.empty((len(labels), *SHAPE[1:], SHAPE[0]), np.uint8)
    start = 0
    for name in names:
        part, _ = batches.pop(name)
        images[start : start + len(part)] = part.transpose(0, 2, 3, 1)
        start += len(part)
    return images, labels


def _records(where: str, content: bytes, layout: Layout, classes: int) -> tuple[np.ndarray, np.ndarray]:
    size = layout.label_bytes + int(np.prod(SHAPE))
    if not content or len(content) % size:
        offset = len(content) - len(content) % size
        raise DataError(
            f"{where}: {len(content):,} bytes are not whole records of {size}: the one at offset {offset:,} is cut off"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = records[:, layout.label].astype(np.int64)
    if labels.max() >= classes:
        index = int(np.argmax(labels >= classes))
        raise DataError(
            f"{where}: label {labels[index]} at offset {index * size + layout.label:,}, "
            f"but there are {classes} classes (0 to {classes - 1})"
        )
    return records[:, layout.label_bytes :].reshape(-1, *SHAPE), labels
