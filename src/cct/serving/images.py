"""Images in requests: their media types, and their decoding in threads."""

import asyncio
import binascii
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request

from cct.data.images.decoding import ImageError, image_pixels
from cct.errors import CCTError, one_line
from cct.runtime.machine import cpu_cores
from cct.serving.bodies import Parse, Reader, Sent, json_reader, read_form
from cct.serving.limits import Limits
from cct.serving.threads import Threads
from cct.tasks.inference import InputReader

MOST_DEPTH = 3  # of lists: rows, columns, channels
# Of all images of a request. A thread costs more than so few, and the event loop may wait so long.
SMALL_BYTES, SMALL_PIXELS = 1 << 15, 1 << 16
LARGE_PIXELS = 1 << 23  # such images are decoded one at a time: each may take hundreds of megabytes


async def _read_file(request: Request, chunks: AsyncIterator[bytes], limits: Limits, parse: Parse) -> list[Sent]:
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
        self._threads = Threads(cpu_cores(), name="decode")
        self._large_thread = Threads(1, name="decode-large")

    async def decode(self, images: Sequence[Sent]) -> list[np.ndarray | CCTError]:
        """The input of each image, or why it has none."""
        contents = [image.content for image in images]
        few_bytes = sum(len(content) for content in contents if isinstance(content, bytes)) <= SMALL_BYTES
        # A large file may have a header that takes long.
        sizes = self._sizes(contents) if few_bytes else await self._threads.run(self._sizes, contents)
        pairs = list(zip(contents, sizes, strict=True))
        if few_bytes and sum(size for size in sizes if isinstance(size, int)) <= SMALL_PIXELS:
            return [size if isinstance(size, CCTError) else self._array(content) for content, size in pairs]
        async with asyncio.TaskGroup() as group:  # which cancels all of them where the request is given up
            tasks = [group.create_task(self._in_thread(content, size)) for content, size in pairs]
        return [task.result() for task in tasks]

    def close(self) -> None:
        """End the threads."""
        self._threads.close()
        self._large_thread.close()

    def _sizes(self, contents: Sequence[Any]) -> list[int | CCTError]:
        """The number of pixels of each image, or why it cannot be used."""
        return [self._size(content) for content in contents]

    def _size(self, content: Any) -> int | CCTError:
        if isinstance(content, CCTError):
            return content
        try:
            # A third dimension is the channels.
            pixels = math.prod(content.shape[:2]) if isinstance(content, np.ndarray) else image_pixels(content)
        except ImageError as error:
            return error
        return pixels if pixels <= self._pixels else ImageError(f"{pixels:,} pixels, more than {self._pixels:,}")

    async def _in_thread(self, content: Any, size: int | CCTError) -> np.ndarray | CCTError:
        if isinstance(size, CCTError):
            return size
        threads = self._large_thread if size > LARGE_PIXELS else self._threads
        return await threads.run(self._array, content)

    def _array(self, content: bytes | np.ndarray) -> np.ndarray | ImageError:
        try:
            return self._reader.arrays([content])[0]
        except ImageError as error:
            return ImageError(str(error).removeprefix("image 0: "))
