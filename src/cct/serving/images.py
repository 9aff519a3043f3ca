"""Images in requests: their media types, and their decoding in threads."""

import asyncio
import binascii
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from starlette.requests import Request

from cct.data.images.decoding import ImageError, image_pixels
from cct.errors import CCTError, one_line
from cct.runtime.machine import cpu_cores
from cct.serving.bodies import Reader, Sent, json_reader, read_form
from cct.serving.limits import Limits
from cct.tasks.inference import InputReader

MOST_DEPTH = 3  # of lists: rows, columns, channels
# A thread costs more than such a file, and the event loop may wait so long.
SMALL_BYTES, SMALL_PIXELS = 1 << 15, 1 << 16
LARGE_PIXELS = 1 << 23  # such images are decoded one at a time: each may take hundreds of megabytes


async def _read_file(request: Request, chunks: AsyncIterator[bytes], limits: Limits) -> list[Sent]:
    content = b"".join([chunk async for chunk in chunks])
    return [Sent("image 0", content)] if content else []


def _image(value: Any) -> bytes | np.ndarray:
    """The content of an item of "images"."""
    if isinstance(value, str):
        return _from_base64(value)
    if isinstance(value, list):
        return _from_rows(value)
    raise ImageError("neither a text in base64 nor a list of rows of pixels")


def _from_base64(text: str) -> bytes:
    """The bytes of a text in base64, which may have line breaks and begin as an address of `data:`."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError as error:  # binascii.Error, or letters beyond ASCII
        raise ImageError(f"not base64: {one_line(error)}") from error


def _from_rows(rows: list[Any]) -> np.ndarray:
    """Pixels (height, width) or (height, width, channels), uint8. A plain cast would turn 0.5 and 256 into 0."""
    _require_numbers(rows)
    try:
        values = np.array(rows)
    except (ValueError, OverflowError) as error:  # rows of different lengths, or nested too deeply
        raise ImageError("its rows of pixels have different lengths or depths") from error
    if values.dtype.kind not in "iuf":
        raise ImageError("its pixels are not numbers")
    if not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
        raise ImageError("its pixels are not whole numbers from 0 to 255")
    return values.astype(np.uint8)


def _require_numbers(rows: list[Any], depth: int = 1) -> None:
    """Refuse other values before NumPy sees them: one long text would make each number as long."""
    if depth > MOST_DEPTH:
        raise ImageError("its rows of pixels have different lengths or depths")
    for kind in {type(item) for item in rows}:
        if kind is not list and kind not in (int, float):  # bool is not int here
            raise ImageError("its pixels are not numbers")
    for item in rows:
        if isinstance(item, list):
            _require_numbers(item, depth + 1)


# By media type. The page docs/serve.md describes each.
READERS: dict[str, Reader] = {
    "multipart/form-data": read_form,
    "application/json": json_reader(
        "images", "image", _image, expected="each in base64 or as a list of rows of pixels"
    ),
    "image/*": _read_file,
}


class ImageDecoder:
    """Turns images as they were sent into the model's inputs."""

    def __init__(self, reader: InputReader, limits: Limits) -> None:
        """
        Args:
            reader: of the model.
            limits: `pixels` is the most that an image may have, before it is resized.
        """
        self._reader, self._pixels = reader, limits.pixels
        self._large = threading.Lock()
        self._pool = ThreadPoolExecutor(cpu_cores(), thread_name_prefix="decode")

    async def decode(self, images: Sequence[Sent]) -> list[np.ndarray | CCTError]:
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

    def _decode(self, content: Any) -> np.ndarray | CCTError:
        if isinstance(content, CCTError):
            return content
        try:
            pixels = content.size if isinstance(content, np.ndarray) else image_pixels(content)
            if pixels > self._pixels:
                return ImageError(f"{pixels:,} pixels, more than {self._pixels:,}")
            with self._large if pixels > LARGE_PIXELS else contextlib.nullcontext():
                return self._reader.arrays([content])[0]
        except ImageError as error:
            return ImageError(str(error).removeprefix("image 0: "))


def _is_small(content: Any) -> bool:
    if not isinstance(content, bytes):
        return isinstance(content, CCTError) or content.size <= SMALL_PIXELS
    try:
        return len(content) <= SMALL_BYTES and image_pixels(content) <= SMALL_PIXELS
    except ImageError:
        return True
