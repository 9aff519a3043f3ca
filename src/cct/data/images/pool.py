"""Decodes many image files on all cores, in their order and in bounded memory."""

import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np

from cct.data.arrays import DataError
from cct.data.images.decoding import ImageOptions, decode_image
from cct.data.plain_files import File, FileError
from cct.runtime.machine import cpu_cores

CHUNK_BYTES, MAX_CHUNK = 1 << 24, 256  # pixels and files of a chunk, which one process decodes at a time
FEW = 200  # files that one process decodes before others have started
# What is known of each file. `hash` is a perceptual hash, and `sha256` is of the pixels.
FACTS = np.dtype(
    [
        ("error", "S200"),  # UTF-8; empty for a good image
        ("height", "<u4"),  # of the image in its file
        ("width", "<u4"),
        ("grey", "?"),  # no colours in the pixels
        ("decoder", "S4"),
        ("brightness", "<f4"),  # mean of the pixels, 0 to 255
        ("hash", "<u8"),
        ("sha256", "V32"),
    ]
)


class Chunk(NamedTuple):
    """Decoded files in their order: pixels (n, height, width, channels), zeros for a bad image, and facts (n,)."""

    pixels_nhwc: np.ndarray
    facts_n: np.ndarray


def decode_files(files: Iterable[File], options: ImageOptions, *, count: int) -> Iterator[Chunk]:
    """Decode files on all cores.

    Args:
        files: the files, which this process reads from archives, and the other processes from folders.
        options: size and channels of all arrays.
        count: how many files there are.

    Yields:
        Chunks in the order of the files.

    Raises:
        DataError: a process was killed.
    """
    size = CHUNK_BYTES // (options.height * options.width * options.channels)
    chunks = _chunks(files, max(1, min(MAX_CHUNK, size, count // 8)))
    if count <= FEW or (cores := cpu_cores()) == 1:
        yield from (_decode_chunk(chunk, options) for chunk in chunks)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of this process's threads
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_start_worker) as pool:
        ahead = deque(pool.submit(_decode_chunk, chunk, options) for chunk in itertools.islice(chunks, 2 * cores))
        try:
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(_decode_chunk, chunk, options) for chunk in itertools.islice(chunks, 1))
        except BrokenProcessPool as error:
            raise DataError(
                "a process that decodes images was killed, probably for lack of memory: close other programs, or give "
                "smaller images, then run the command again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _chunks(files: Iterable[File], size: int) -> Iterator[list[File]]:
    """Lists of at most `size` files and `CHUNK_BYTES` bytes of content."""
    chunk, held = [], 0
    for file in files:
        chunk.append(file)
        held += len(file.content) if isinstance(file.content, bytes) else 0
        if len(chunk) == size or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _start_worker() -> None:
    """Let the parent process answer Ctrl-C, and end with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _decode_chunk(files: list[File], options: ImageOptions) -> Chunk:
    pixels_nhwc = np.zeros((len(files), options.height, options.width, options.channels), np.uint8)
    facts_n = np.zeros(len(files), FACTS)
    for row, file in enumerate(files):
        try:
            if isinstance(file.content, FileError):
                raise file.content
            image = decode_image(file.content, options)
        except FileError as error:
            facts_n[row]["error"] = str(error).encode()[: FACTS["error"].itemsize].decode(errors="ignore").encode()
            continue
        pixels = pixels_nhwc[row] = image.pixels_hwc
        facts_n[row] = (
            b"",
            image.height,
            image.width,
            bool((pixels == pixels[..., :1]).all()),
            image.decoder.encode(),
            pixels.mean(),
            perceptual_hash(pixels),
            hashlib.sha256(pixels.tobytes()).digest(),
        )
    return Chunk(pixels_nhwc, facts_n)


def perceptual_hash(pixels_hwc: np.ndarray) -> int:
    """64 bits, most of which stay when an image is resized or compressed again: dHash, where grey levels rise."""
    import imagehash
    from PIL import Image

    image = Image.fromarray(pixels_hwc[..., 0] if pixels_hwc.shape[-1] == 1 else pixels_hwc)
    return int.from_bytes(np.packbits(imagehash.dhash(image).hash).tobytes(), "big")
