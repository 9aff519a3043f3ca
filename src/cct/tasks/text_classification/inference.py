"""Text classification: the inputs of a trained model."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from cct.data.plain_files import FileError, read_plain_file
from cct.data.texts.encodings import AS_UTF8, decode
from cct.data.texts.formats import MAX_TEXT_BYTES
from cct.data.texts.tokens import Numbering, clean_text
from cct.errors import CCTError
from cct.params import Section, parse
from cct.tasks.inputs import Input
from cct.words import FIRST_WORD, PADDING, UNKNOWN

if TYPE_CHECKING:
    from cct.tasks.text_classification.attention import WordAttention

NO_KNOWN_WORD = "no word of it is known to the model"
EXAMPLE = "How far is it to the moon?"  # no text of the data, which may be private


class TextError(CCTError):
    """An input is no text."""


def describe_input(meta: Mapping[str, Any]) -> Input:
    """Texts as they are."""
    return Input("texts", np.dtype(object), (), np.array([EXAMPLE], dtype=object))


def attention(model: Any, words_bn: np.ndarray) -> "WordAttention":
    """Which words of each of the texts a Keras model looked at."""
    from cct.tasks.text_classification.attention import word_attention

    return word_attention(model, words_bn)


class TextFacts(Section):
    """What a model's file says of its texts."""

    tokens: Literal["words", "bytes"]
    max_length: int = Field(ge=1, le=65_536)
    truncation: Literal["end", "start"]
    vocabulary: list[str]
    text_column: str | None = None  # models of earlier versions have none


class TextReader:
    """Reads texts as `preprocess` read those of the training.

    Attributes:
        shape: the length of the model's texts, in words or bytes.
        numbering: the numbers of words.
        column: the column of texts in the table of the training, if the user named it.
    """

    def __init__(self, facts: Mapping[str, Any], where: Path) -> None:
        """Read the facts in the metadata of a model's file.

        Raises:
            ParamsError: they have mistakes.
        """
        checked = parse(TextFacts, facts, where=where)
        self.shape, self.column = (checked.max_length,), checked.text_column
        self.numbering = Numbering(
            checked.tokens, checked.vocabulary, length=checked.max_length, truncation=checked.truncation
        )

    def arrays(self, inputs: Sequence[Any], *, first: int = 0) -> np.ndarray:
        """Numbers of words (n, length), int32.

        Args:
            inputs: each a text, or the path of a text file in UTF-8.
            first: the place of the first one among all inputs of the user, for messages.

        Raises:
            TextError: an input is none of these, or empty; the message names it.
        """
        return self.numbering.number(
            self.numbering.split(self._text(value, place)) for place, value in enumerate(inputs, start=first)
        ).words_nl

    def warnings(self, arrays: np.ndarray) -> list[str]:
        """For each text (n, length) whether the model knows none of its words. Those that are cut off do not count."""
        return ["" if known else NO_KNOWN_WORD for known in (arrays >= FIRST_WORD).any(axis=1)]

    def random(self, count: int) -> np.ndarray:
        """Texts of random words and lengths."""
        generator, (length,) = np.random.default_rng(0), self.shape
        words_nl = generator.integers(UNKNOWN, self.numbering.size, (count, length), np.int32)
        return np.where(np.arange(length) < generator.integers(1, length + 1, (count, 1)), words_nl, PADDING)

    def _text(self, value: Any, place: int) -> str:
        if isinstance(value, os.PathLike):
            text = read_text(Path(value))
        elif isinstance(value, bytes | bytearray):
            text = decode(bytes(value), f"text {place}", remedy=AS_UTF8)
        elif isinstance(value, str):
            text = str(value)
        else:
            raise TextError(f"text {place} is of type {type(value).__name__}: give a text, bytes in UTF-8, or a path")
        if not clean_text(text):
            raise TextError(f"text {place} is empty")
        return text


def read_text(path: Path) -> str:
    """The text in a file.

    Raises:
        TextError: it cannot be read.
        DataError: it is not UTF-8; the message names the line.
    """
    try:
        return decode(read_plain_file(path, most=MAX_TEXT_BYTES), path, remedy=AS_UTF8)
    except FileError as error:
        raise TextError(f"{path}: {error}") from error


def from_request(reader: TextReader, values: Any) -> np.ndarray:
    """The arrays of what a server gets: a list of texts.

    Raises:
        TextError: it is something else.
    """
    texts = np.asarray(values, dtype=object).ravel().tolist()
    return reader.arrays(texts)
