"""Decodes all images of a source into one file on disk, and resumes there after an interruption."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from cct.data.arrays import DataError
from cct.data.images.containers import Container
from cct.data.images.decoding import ImageOptions
from cct.data.images.pool import FACTS, decode_files

log = logging.getLogger(__name__)

FOLDER = Path(".cct/images")  # in the repository, while preprocess works and after an interruption
PIXELS, FACTS_FILE = "pixels.bin", "facts.bin"
CHECKED = 1 << 24  # bytes that are read at a time


class OtherSize(Exception):
    """An image has another size than the first, where all should have one."""


class Decoded(NamedTuple):
    """The decoded images of a source.

    Attributes:
        pixels_nhwc: uint8, memory-mapped, in the order in which the container was read. A bad image is black.
        row_n: the row of each item in `pixels_nhwc`.
        facts_n: `FACTS` of each item.
    """

    pixels_nhwc: np.ndarray
    row_n: np.ndarray
    facts_n: np.ndarray


def decode_images(
    container: Container,
    names: Sequence[str],
    options: ImageOptions,
    *,
    folder: Path,
    made_by: Any,
    one_size: bool = False,
) -> Decoded:
    """Decode files of a container into `folder`. An interrupted call with equal arguments is resumed.

    Args:
        container: the files.
        names: the names of the images, in the wanted order.
        options: size and channels of all arrays.
        folder: for the decoded images; only one process uses it at a time, see `locked`.
        made_by: what else decides the result (versions, code), as JSON values.
        one_size: refuse images of another size than that of the options.

    Raises:
        DataError: the container cannot be read.
        OtherSize: with `one_size`, an image has another size.
        OSError: the disk is full, or the folder cannot be written.
    """
    order = {name: index for index, name in enumerate(names)}
    read = [order[name] for name in container.names() if name in order]
    if len(read) != len(names):
        raise DataError(f"{container.path} changed while it was read: run dvc repro again")
    row_bytes = options.height * options.width * options.channels
    key = _key(container, names, options, made_by)
    place = folder / key
    for other in folder.glob("*/"):
        if other != place:
            shutil.rmtree(other)
    place.mkdir(parents=True, exist_ok=True)
    with (place / PIXELS).open("a+b") as pixels, (place / FACTS_FILE).open("a+b") as facts:
        done = _whole_rows(pixels, facts, row_bytes)
        if done:
            log.info("resuming after %s of %s images", f"{done:,}", f"{len(names):,}")
        with tqdm(total=len(names), initial=done, unit=" images", desc="preprocess", disable=None, delay=1) as bar:
            files = container.files([names[index] for index in read[done:]])
            for chunk in decode_files(files, options, count=len(names) - done):
                good = chunk.facts_n[chunk.facts_n["error"] == b""]
                if one_size and ((good["height"] != options.height) | (good["width"] != options.width)).any():
                    raise OtherSize
                pixels.write(chunk.pixels_nhwc.tobytes())
                facts.write(chunk.facts_n.tobytes())
                bar.update(len(chunk.facts_n))
    row_n = np.empty(len(read), np.int64)
    row_n[read] = np.arange(len(read))
    shape = (len(names), options.height, options.width, options.channels)
    facts_n = np.fromfile(place / FACTS_FILE, FACTS)
    if len(facts_n) != len(names):
        raise DataError(f"{container.path} changed while it was read: run dvc repro again")
    return Decoded(np.memmap(place / PIXELS, np.uint8, "r", shape=shape), row_n, facts_n[row_n])


def locked(folder: Path) -> FileLock:
    """The lock of a folder for `decode_images`, acquired. Another process that holds it is waited for."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that decodes images (%s)", folder)
        lock.acquire()
    return lock


def _key(container: Container, names: Sequence[str], options: ImageOptions, made_by: Any) -> str:
    """Identifies the result: the files, and all that decides the pixels."""
    content = json.dumps([str(container.path.absolute()), container.identity(names), options, made_by])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _whole_rows(pixels: IO[bytes], facts: IO[bytes], row_bytes: int) -> int:
    """The number of rows that an interrupted call wrote in full; both files end there, and are positioned there.

    The digests of the pixels find what a power cut left unwritten.
    """
    facts.seek(0)
    stored = facts.read()
    known_n = np.frombuffer(stored[: len(stored) // FACTS.itemsize * FACTS.itemsize], FACTS)
    pixels.seek(0)
    done = 0
    for row in _rows(pixels, row_bytes):
        if done == len(known_n):
            break
        good = known_n[done]["error"] == b""
        if good and hashlib.sha256(row).digest() != known_n[done]["sha256"].tobytes():
            break
        done += 1
    pixels.truncate(done * row_bytes)
    facts.truncate(done * FACTS.itemsize)
    return done


def _rows(file: IO[bytes], row_bytes: int) -> Iterator[bytes]:
    """The whole rows of a file."""
    while len(row := file.read(row_bytes)) == row_bytes:
        yield row
