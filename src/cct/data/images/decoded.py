"""Decodes all images of a source into one file on disk, and resumes there after an interruption."""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from cct.data.arrays import DataError
from cct.data.containers import Container
from cct.data.images.decoding import ImageOptions
from cct.data.images.pool import FACTS, decode_files
from cct.files import locked, locked_if_free, remove_lock

log = logging.getLogger(__name__)

FOLDER = Path(".cct/images")  # in the repository, while preprocess works and after an interruption
PIXELS, FACTS_FILE, LOCK_SUFFIX = "pixels.bin", "facts.bin", ".lock"
ABANDONED = 7 * 24 * 3600.0  # seconds


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


@contextlib.contextmanager
def decoded_images(
    container: Container,
    names: Sequence[str],
    options: ImageOptions,
    *,
    folder: Path,
    made_by: Any,
    one_size: bool = False,
) -> Iterator[Decoded]:
    """Decode files of a container. An interrupted call with equal arguments is resumed, also one in another process.

    Args:
        container: the files.
        names: the names of the images, in the wanted order.
        options: size and channels of all arrays.
        folder: holds the decoded images while the context is open, and after an interruption or an error.
        made_by: what else decides the result (code), as JSON values.
        one_size: refuse images of another size than that of the options.

    Raises:
        DataError: the container cannot be read.
        OtherSize: with `one_size`, an image has another size.
        OSError: the disk is full, or the folder cannot be written.
    """
    place = decoded_folder(container, names, options, folder=folder, made_by=made_by, one_size=one_size)
    _remove_abandoned(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = place.with_suffix(LOCK_SUFFIX)
    with locked(lock, waiting="waiting for another process that decodes these images"):
        place.mkdir(exist_ok=True)
        row_n = reading_order(container, names)
        try:
            facts_n = _decode(container, names, row_n, options, place, one_size=one_size)
        except OtherSize:
            shutil.rmtree(place)
            remove_lock(lock)
            raise
        shape = (len(names), options.height, options.width, options.channels)
        yield Decoded(np.memmap(place / PIXELS, np.uint8, "r", shape=shape), row_n, facts_n)
        shutil.rmtree(place)
        remove_lock(lock)


def decoded_folder(
    container: Container, names: Sequence[str], options: ImageOptions, *, folder: Path, made_by: Any, one_size: bool
) -> Path:
    """The folder of one set of decoded images, in `folder`. It exists after an interruption."""
    versions = [importlib.metadata.version(name) for name in ("pillow", "numpy")]
    content = [str(container.path.absolute()), container.identity(names), options, made_by, one_size, versions]
    return folder / hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def reading_order(container: Container, names: Sequence[str]) -> np.ndarray:
    """The row (n,) of each name if the container's files with these names are read in its order.

    Raises:
        DataError: a file has gone since the names were listed.
    """
    order = {name: index for index, name in enumerate(names)}
    read = [order[name] for name in container.names() if name in order]
    if len(read) != len(names):
        raise changed(container)
    row_n = np.empty(len(read), np.int64)
    row_n[read] = np.arange(len(read))
    return row_n


def changed(container: Container) -> DataError:
    """The error about a container that changed."""
    return DataError(f"{container.where} changed while it was read: run the command again")


def _decode(
    container: Container,
    names: Sequence[str],
    row_n: np.ndarray,
    options: ImageOptions,
    place: Path,
    *,
    one_size: bool,
) -> np.ndarray:
    """Write the missing rows of `place`, and those with an error again. Returns the facts (n,) of each name.

    An error may be one of the disk or of memory, which the same file no longer has.
    """
    row_bytes = options.height * options.width * options.channels
    for name in (PIXELS, FACTS_FILE):
        (place / name).touch()
    with (place / PIXELS).open("r+b") as pixels, (place / FACTS_FILE).open("r+b") as facts:
        known_n = _whole_rows(pixels, facts, row_bytes)
        done = int((known_n["error"] == b"").sum())
        if len(known_n):
            log.info("resuming after %s of %s images", f"{done:,}", f"{len(names):,}")
        rows = [*np.flatnonzero(known_n["error"] != b"").tolist(), *range(len(known_n), len(names))]
        order_n, place_of = np.argsort(row_n), iter(rows)
        with tqdm(total=len(names), initial=done, unit=" images", desc="preprocess", disable=None, delay=1) as bar:
            files = container.files([names[order_n[row]] for row in rows])
            for chunk in decode_files(files, options, count=len(rows)):
                good = chunk.facts_n[chunk.facts_n["error"] == b""]
                if one_size and ((good["height"] != options.height) | (good["width"] != options.width)).any():
                    raise OtherSize
                for image, fact, row in zip(chunk.pixels_nhwc, chunk.facts_n, place_of, strict=False):
                    pixels.seek(row * row_bytes)
                    pixels.write(image.tobytes())
                    facts.seek(row * FACTS.itemsize)
                    facts.write(fact.tobytes())
                bar.update(len(chunk.facts_n))
    facts_n = np.fromfile(place / FACTS_FILE, FACTS)
    if len(facts_n) != len(names):
        raise changed(container)
    return facts_n[row_n]


def _remove_abandoned(folder: Path) -> None:
    """Remove what interrupted calls left and nothing has resumed for a week, with its lock files."""
    for place in {path.with_suffix("") for path in folder.glob("*")}:
        lock = place.with_suffix(LOCK_SUFFIX)
        with contextlib.suppress(OSError):  # another process has removed it
            if _is_abandoned(place, lock):
                with locked_if_free(lock) as free:
                    if free and _is_abandoned(place, lock):  # still: the process that held it may have written
                        shutil.rmtree(place, ignore_errors=True)
                        remove_lock(lock)


def _is_abandoned(place: Path, lock: Path) -> bool:
    """Whether the newest file of a folder, or a lock without one, is old. Appending does not change a folder's time."""
    paths = [place, *place.glob("*")] if place.exists() else [lock]
    return time.time() - max(path.stat().st_mtime for path in paths) > ABANDONED


def _whole_rows(pixels: IO[bytes], facts: IO[bytes], row_bytes: int) -> np.ndarray:
    """The facts (m,) of the rows that an interrupted call wrote in full. Both files end there.

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
    return known_n[:done]


def _rows(file: IO[bytes], row_bytes: int) -> Iterator[bytes]:
    """The whole rows of a file."""
    while len(row := file.read(row_bytes)) == row_bytes:
        yield row
