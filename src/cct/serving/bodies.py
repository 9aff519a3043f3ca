"""The images in the body of a request: files of a form, JSON, or one file by itself."""

import asyncio
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import numpy as np
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from cct.data.images.decoding import ImageError
from cct.errors import one_line
from cct.serving.limits import Limits
from cct.serving.refusals import Refusal

MOST_DEPTH = 3  # of lists: rows, columns, channels
SMALL_BYTES = 1 << 15  # of JSON: to read it takes less time than to ask a thread


class SentImage(NamedTuple):
    """An image of a request.

    Attributes:
        name: of its file, or its place.
        content: the bytes of a file; raw pixels, uint8; or why it is neither.
    """

    name: str
    content: bytes | np.ndarray | ImageError


Reader = Callable[[Request, AsyncIterator[bytes], Limits], Awaitable[list[SentImage]]]


async def read_images(request: Request, limits: Limits) -> list[SentImage]:
    """The images of a request, at least one.

    Raises:
        Refusal: the body is too large or too slow, has another media type, or is damaged.
        ClientDisconnect: the client closed the connection.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    reader = READERS.get("image/*" if media_type.startswith("image/") else media_type)
    if reader is None:
        raise Refusal(415, f"the Content-Type is {media_type[:80] or 'absent'!r}, but must be {', '.join(READERS)}")
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise Refusal(415, f"the Content-Encoding is {encoding[:80]!r}: send the body as it is")
    try:
        async with asyncio.timeout(limits.body_seconds):
            images = await reader(request, _chunks(request, limits), limits)
    except TimeoutError as error:
        raise Refusal(408, f"the body did not come within {limits.body_seconds} seconds") from error
    if not images:
        raise Refusal(400, "the request has no image")
    if len(images) > limits.images:
        raise Refusal(413, _too_many(limits))
    return images


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The parts of the body as they come."""
    sentence, size = f"the body has more than {limits.body_bytes:,} bytes", 0
    if int(request.headers.get("content-length", "0")) > limits.body_bytes:
        raise Refusal(413, sentence)
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.body_bytes:
            raise Refusal(413, sentence)
        yield chunk


def _too_many(limits: Limits) -> str:
    return f"the request has more than {limits.images:,} images"


class _InMemory(MultiPartParser):
    """Keeps files in memory, since the whole body has a limit, and knows whether the last boundary came."""

    spool_max_size = 0
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _read_form(request: Request, chunks: AsyncIterator[bytes], limits: Limits) -> list[SentImage]:
    # One file too many, so that the refusal is ours.
    parser = _InMemory(request.headers, chunks, max_files=limits.images + 1, max_fields=100, max_part_size=1000)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        too_many = "Too many files" in error.message
        raise Refusal(413, _too_many(limits)) if too_many else _damaged_form(error.message) from error
    if not parser.ended:
        raise _damaged_form("it ends too early")
    images = []
    for place, (name, part) in enumerate(form.multi_items()):
        if isinstance(part, str):
            raise Refusal(400, f"the field {name[:80]!r} of the form is no file: send images as files")
        images.append(SentImage(part.filename or f"image {place}", await part.read()))
    return images


def _damaged_form(reason: str) -> Refusal:
    return Refusal(400, f"the form is damaged: {reason.rstrip('.')}")


async def _read_file(request: Request, chunks: AsyncIterator[bytes], limits: Limits) -> list[SentImage]:
    content = b"".join([chunk async for chunk in chunks])
    return [SentImage("image 0", content)] if content else []


async def _read_json(request: Request, chunks: AsyncIterator[bytes], limits: Limits) -> list[SentImage]:
    body = b"".join([chunk async for chunk in chunks])
    return _images(body, limits) if len(body) <= SMALL_BYTES else await asyncio.to_thread(_images, body, limits)


def _images(body: bytes, limits: Limits) -> list[SentImage]:
    values = _parse(body)
    if not isinstance(values, dict) or values.keys() != {"images"} or not isinstance(values["images"], list):
        raise Refusal(400, 'the JSON must be {"images": [...]}, each in base64 or as a list of rows of pixels')
    if len(values["images"]) > limits.images:
        raise Refusal(413, _too_many(limits))
    return [SentImage(f"image {place}", _image(value)) for place, value in enumerate(values["images"])]


def _parse(body: bytes) -> Any:
    """The JSON value of a body. Python itself would take NaN and Infinity."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise Refusal(400, "the JSON is nested too deeply") from error
    except ValueError as error:  # not JSON, not UTF-8, or an integer of thousands of digits
        raise Refusal(400, f"the body is not JSON: {one_line(error)}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")


def _image(value: Any) -> bytes | np.ndarray | ImageError:
    """The content of an item of "images"."""
    try:
        if isinstance(value, str):
            return _from_base64(value)
        if isinstance(value, list):
            return _from_rows(value)
    except ImageError as error:
        return error
    return ImageError("neither a text in base64 nor a list of rows of pixels")


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
    "multipart/form-data": _read_form,
    "application/json": _read_json,
    "image/*": _read_file,
}
