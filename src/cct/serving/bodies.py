"""The inputs in the body of a request, whatever they are: `cct.serving.kinds` has the media types of each kind."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from cct.errors import CCTError, one_line
from cct.serving.limits import Limits
from cct.serving.refusals import Refusal

SMALL_BYTES = 1 << 15  # of JSON: to read it takes less time than to ask a thread


class Sent(NamedTuple):
    """An input of a request.

    Attributes:
        name: of its file, or its place.
        content: the bytes of a file; raw pixels, uint8; a text; or why it is none of these.
    """

    name: str
    content: bytes | np.ndarray | str | CCTError


# Computes a function of a body in a thread, one at a time.
Parse = Callable[[Callable[[bytes, Limits], list[Sent]], bytes, Limits], Awaitable[list[Sent]]]
# From a request, the parts of its body as they come, the limits to its inputs, and a place to parse it.
Reader = Callable[[Request, AsyncIterator[bytes], Limits, Parse], Awaitable[list[Sent]]]


async def read_inputs(
    request: Request, readers: Mapping[str, Reader], limits: Limits, *, parse: Parse, one: str
) -> list[Sent]:
    """The inputs of a request, at least one.

    Args:
        request: the request.
        readers: by media type; "image/*" is for all images.
        limits: of the server.
        parse: computes what takes long, in a thread.
        one: the word for an input, in the singular.

    Raises:
        Refusal: the body is too large or too slow, has another media type, or is damaged.
        ClientDisconnect: the client closed the connection.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    reader = readers.get("image/*" if media_type.startswith("image/") else media_type)
    if reader is None:
        raise Refusal(415, f"the Content-Type is {media_type[:80] or 'absent'!r}, but must be {', '.join(readers)}")
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise Refusal(415, f"the Content-Encoding is {encoding[:80]!r}: send the body as it is")
    found = await reader(request, _chunks(request, limits), limits, parse)
    if not found:
        raise Refusal(400, f"the request has no {one}")
    require_few(len(found), limits)
    return found


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The parts of the body as they come. Their time limit is here, because to parse them is no fault of the client."""
    limit, size = f"{limits.body_bytes:,} bytes (the server's --limit body_bytes)", 0
    sentence = f"the body has more than {limit}: send fewer or smaller inputs"
    if int(request.headers.get("content-length", "0")) > limits.body_bytes:
        raise Refusal(413, sentence)
    stream, end = request.stream(), asyncio.get_running_loop().time() + limits.body_seconds
    while True:
        try:
            async with asyncio.timeout_at(end):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise Refusal(408, f"the body did not come within {limits.body_seconds} seconds") from error
        if chunk is None:
            return
        size += len(chunk)
        if size > limits.body_bytes:
            raise Refusal(413, sentence)
        yield chunk


def require_few(count: int, limits: Limits) -> None:
    """Refuse a request with too many inputs.

    Raises:
        Refusal: it has more than the limit.
    """
    if count > limits.inputs:
        limit = f"{limits.inputs:,} inputs (the server's --limit inputs)"
        raise Refusal(413, f"the request has more than {limit}: send several requests")


class _InMemory(MultiPartParser):
    """Keeps files in memory, since the whole body has a limit, and knows whether the last boundary came."""

    spool_max_size = 0
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def read_form(request: Request, chunks: AsyncIterator[bytes], limits: Limits, parse: Parse) -> list[Sent]:
    """The files of a form."""
    # One file too many, so that the refusal is ours.
    parser = _InMemory(request.headers, chunks, max_files=limits.inputs + 1, max_fields=100, max_part_size=1000)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            require_few(limits.inputs + 1, limits)
        raise _damaged_form(error.message) from error
    except UnicodeError as error:  # Starlette falls back for most charsets, but not for undefined and punycode
        raise _damaged_form("its charset cannot decode its names, so send none") from error
    if not parser.ended:
        raise _damaged_form("it ends too early")
    found = []
    for place, (name, part) in enumerate(form.multi_items()):
        if isinstance(part, str):
            raise Refusal(400, f"the field {name[:80]!r} of the form is no file: send images as files")
        found.append(Sent(part.filename or f"image {place}", await part.read()))
    return found


def _damaged_form(reason: str) -> Refusal:
    return Refusal(400, f"the form is damaged: {reason.rstrip('.')}")


def json_reader(name: str, one: str, content_of: Callable[[Any], Any], *, expected: str) -> Reader:
    """A reader of JSON: an object with one list.

    Args:
        name: of the list.
        one: the word for an item, in the singular.
        content_of: from an item to `Sent.content`.
        expected: the rest of the sentence that says what the JSON must be.
    """

    def read(body: bytes, limits: Limits) -> list[Sent]:
        _require_few_items(body, limits)
        values = _parse(body)
        if not isinstance(values, dict) or values.keys() != {name} or not isinstance(values[name], list):
            raise Refusal(400, f'the JSON must be {{"{name}": [...]}}, {expected}')
        require_few(len(values[name]), limits)
        return [Sent(f"{one} {place}", _content(content_of, value)) for place, value in enumerate(values[name])]

    def read_large(body: bytes, limits: Limits) -> list[Sent]:
        gc.disable()  # it would look at millions of new lists again and again, which takes four times as long
        try:
            return read(body, limits)
        finally:
            gc.enable()

    async def reader(request: Request, chunks: AsyncIterator[bytes], limits: Limits, parse: Parse) -> list[Sent]:
        body = b"".join([chunk async for chunk in chunks])
        return read(body, limits) if len(body) <= SMALL_BYTES else await parse(read_large, body, limits)

    return reader


def _require_few_items(body: bytes, limits: Limits) -> None:
    """Refuse JSON of very many values, before it is parsed.

    `json.loads` stops all threads until its end, about a tenth of a second for a million lists. Each value but the
    first is behind one of these letters. Those in texts are counted too, because to tell them apart takes as long.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > limits.json_items:
        limit = f"{limits.json_items:,} commas, brackets and braces (the server's --limit json_items)"
        raise Refusal(413, f"the JSON has more than {limit}: send fewer inputs, or images as files")


def _content(content_of: Callable[[Any], Any], value: Any) -> Any:
    try:
        return content_of(value)
    except CCTError as error:
        return error


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
