"""Texts in requests: their media types, and their words as numbers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request

from cct.errors import CCTError
from cct.serving.bodies import Parse, Reader, Sent, json_reader
from cct.serving.limits import Limits
from cct.serving.refusals import Refusal
from cct.tasks.inference import InputReader
from cct.tasks.text_classification.inference import TextError

SMALL_LETTERS = 1 << 15  # their words are counted in less time than a thread takes


async def _read_text(request: Request, chunks: AsyncIterator[bytes], limits: Limits, parse: Parse) -> list[Sent]:
    content = b"".join([chunk async for chunk in chunks])
    try:
        return [Sent("text 0", content.decode("utf-8"))] if content else []
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8: the byte {error.start:,} is wrong") from error


def _text(value: Any) -> str:
    """The content of an item of "texts"."""
    if not isinstance(value, str):
        raise TextError("not a text")
    return value


# By media type. The page docs/serve.md describes each.
READERS: dict[str, Reader] = {
    "application/json": json_reader("texts", "text", _text, expected="each a text"),
    "text/plain": _read_text,
}


class TextDecoder:
    """Turns texts as they were sent into the model's inputs."""

    def __init__(self, reader: InputReader, limits: Limits) -> None:
        """
        Args:
            reader: of the model.
            limits: `letters` is the most that a text may have.
        """
        self._reader, self._letters = reader, limits.letters

    async def decode(self, texts: Sequence[Sent]) -> list[np.ndarray | CCTError]:
        """The input of each text, or why it has none."""
        letters = sum(len(text.content) for text in texts if isinstance(text.content, str))
        if letters <= SMALL_LETTERS:
            return self._decode(texts)
        return await asyncio.to_thread(self._decode, texts)

    def close(self) -> None:
        """Nothing has to end."""

    def _decode(self, texts: Sequence[Sent]) -> list[np.ndarray | CCTError]:
        return [self._numbers(text.content) for text in texts]

    def _numbers(self, content: Any) -> np.ndarray | CCTError:
        if isinstance(content, CCTError):
            return content
        if len(content) > self._letters:
            return TextError(f"{len(content):,} letters, more than {self._letters:,}")
        try:
            return self._reader.arrays([content])[0]
        except TextError as error:
            return TextError(str(error).removeprefix("text 0 is "))
