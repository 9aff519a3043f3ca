"""Words of texts and their numbers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cct.words import FIRST_WORD, PADDING, UNKNOWN

BYTES = 256
# As torchtext's basic_english: these stand alone, and others vanish.
ALONE = {sign: f" {sign} " for sign in "'.,()!?"}
BASIC_ENGLISH = str.maketrans(ALONE | {'"': "", ";": " ", ":": " "})
LINE_BREAK = re.compile(r"<br\s*/?>")  # in reviews of web pages


def clean_text(text: str) -> str:
    """A text without byte order marks and outer spaces, composed (NFC): macOS and PDF files write letters in parts.

    Training and everything that predicts split texts by the two functions below, which begin with this one.
    """
    return unicodedata.normalize("NFC", text.replace("\ufeff", "")).strip()


def split_words(text: str) -> list[str]:
    """Words in small letters. The signs of `ALONE` are words of their own."""
    return LINE_BREAK.sub(" ", clean_text(text).lower()).translate(BASIC_ENGLISH).split()


def split_bytes(text: str) -> bytes:
    """The bytes of a text in UTF-8."""
    return clean_text(text).encode("utf-8", errors="replace")


class Tokens(NamedTuple):
    """How texts become numbers.

    Attributes:
        split: from a text to its words or bytes.
        has_vocabulary: whether words have numbers by a vocabulary; otherwise the number of a byte follows from it.
    """

    split: Callable[[str], Sequence[str | int]]
    has_vocabulary: bool


TOKENS = {"words": Tokens(split_words, True), "bytes": Tokens(split_bytes, False)}


def build_vocabulary(texts: Iterable[Sequence[str]], *, most: int, min_count: int) -> list[str]:
    """The words of texts, the most frequent first, and in alphabetical order where they are as frequent."""
    counts = Counter(word for text in texts for word in text)
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [word for word, count in ordered if count >= min_count][:most]


class Numbered(NamedTuple):
    """Texts as numbers.

    Attributes:
        words_nl: (n, length) int32, with `PADDING` at the end.
        words: how many words they had, before any was cut off.
        unknown: how many of the words that were kept have no number of their own.
        truncated: how many texts lost words.
    """

    words_nl: np.ndarray
    words: int
    unknown: int
    truncated: int


class Numbering:
    """The numbers of words.

    Attributes:
        tokens: a key of `TOKENS`.
        vocabulary: the words with numbers, in their order; empty for bytes.
        length: numbers of a text.
        truncation: what of a longer text is cut off: its "end" or its "start".
    """

    def __init__(self, tokens: str, vocabulary: Sequence[str], *, length: int, truncation: str) -> None:
        self.tokens, self.vocabulary, self.length, self.truncation = tokens, vocabulary, length, truncation
        self.numbers: Mapping[str | int, int] = {
            word: place + FIRST_WORD
            for place, word in enumerate(vocabulary if TOKENS[tokens].has_vocabulary else range(BYTES))
        }

    @property
    def size(self) -> int:
        """How many numbers there are, with padding and the unknown word."""
        return len(self.numbers) + FIRST_WORD

    def split(self, text: str) -> Sequence[str | int]:
        """The words of a text, or its bytes."""
        return TOKENS[self.tokens].split(text)

    def kept(self, words: Sequence[str | int]) -> Sequence[str | int]:
        """The words that are not cut off."""
        return words[: self.length] if self.truncation == "end" else words[-self.length :]

    def weighted(self, text: str, share_l: np.ndarray) -> list[tuple[str, float]]:
        """The kept parts of a text with their shares, as people read them.

        Args:
            text: one text.
            share_l: the share of each of its numbers, as the model sees them.

        Returns:
            Words, each with a space behind it. Of bytes: characters, with the sum of their bytes' shares.
        """
        kept = self.kept(self.split(text))
        if TOKENS[self.tokens].has_vocabulary:
            return [(f"{word} ", float(share)) for word, share in zip(kept, share_l, strict=False)]
        characters: list[tuple[bytes, float]] = []
        for byte, share in zip(bytes(kept), share_l, strict=False):
            if characters and byte & 0xC0 == 0x80:  # it continues a character
                before, sum_ = characters.pop()
                characters.append((before + bytes([byte]), sum_ + float(share)))
            else:
                characters.append((bytes([byte]), float(share)))
        return [(character.decode("utf-8", errors="replace"), share) for character, share in characters]

    def number(self, texts: Iterable[Sequence[str | int]]) -> Numbered:
        """The numbers of texts that are split. A text without words is one unknown word."""
        texts = list(texts)
        words_nl = np.full((len(texts), self.length), PADDING, np.int32)
        unknown = truncated = 0
        for row, words in enumerate(texts):
            numbers = [self.numbers.get(word, UNKNOWN) for word in self.kept(words)] or [UNKNOWN]
            words_nl[row, : len(numbers)] = numbers
            unknown += numbers.count(UNKNOWN)
            truncated += len(words) > self.length
        return Numbered(words_nl, sum(map(len, texts)), unknown, truncated)
