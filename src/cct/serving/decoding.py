"""Decodes the images of requests, in threads."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cct.data.images.decoding import ImageError, image_pixels
from cct.runtime.machine import cpu_cores
from cct.serving.bodies import SentImage
from cct.tasks.inference import InputReader

# A thread costs more than such a file, and the event loop may wait so long.
SMALL_BYTES, SMALL_PIXELS = 1 << 15, 1 << 16
LARGE_PIXELS = 1 << 23  # such images are decoded one at a time: each may take hundreds of megabytes


class Decoder:
    """Turns images as they were sent into the model's inputs."""

    def __init__(self, reader: InputReader, *, pixels: int) -> None:
        """
        Args:
            reader: of the model.
            pixels: the most that an image may have, before it is resized.
        """
        self._reader, self._pixels = reader, pixels
        self._large = threading.Lock()
        self._pool = ThreadPoolExecutor(cpu_cores(), thread_name_prefix="decode")

    async def decode(self, images: Sequence[SentImage]) -> list[np.ndarray | ImageError]:
        """The input of each image, or why it has none."""
        loop = asyncio.get_running_loop()
        found = [
            self._decode(image.content)
            if _is_small(image.content)
            else loop.run_in_executor(self._pool, self._decode, image.content)
            for image in images
        ]
        return [await part if isinstance(part, asyncio.Future) else part for part in found]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _decode(self, content: bytes | np.ndarray | ImageError) -> np.ndarray | ImageError:
        if isinstance(content, ImageError):
            return content
        try:
            pixels = content.size if isinstance(content, np.ndarray) else image_pixels(content)
            if pixels > self._pixels:
                return ImageError(f"{pixels:,} pixels, more than {self._pixels:,}")
            with self._large if pixels > LARGE_PIXELS else contextlib.nullcontext():
                return self._reader.arrays([content])[0]
        except ImageError as error:
            return ImageError(str(error).removeprefix("image 0: "))


def _is_small(content: bytes | np.ndarray | ImageError) -> bool:
    if not isinstance(content, bytes):
        return isinstance(content, ImageError) or content.size <= SMALL_PIXELS
    try:
        return len(content) <= SMALL_BYTES and image_pixels(content) <= SMALL_PIXELS
    except ImageError:
        return True
