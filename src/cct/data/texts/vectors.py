"""Pretrained vectors of words in GloVe's text format: a word and its numbers a line; also `.gz`, `.xz` and `.zip`."""

import contextlib
import gzip
import io
import itertools
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from cct.data.arrays import DataError
from cct.data.texts.tokens import split_words
from cct.errors import one_line

MOST_CHARACTERS = 1 << 20  # of a line: none is longer than a word and some thousand numbers
MOST_DIMENSIONS = MOST_CHARACTERS // 2  # each number has a space before it


class Vectors(NamedTuple):
    """The vectors of words.

    Attributes:
        words: the vocabulary, and behind it the extra words.
        vectors_vd: (v, d) float32; NaN for a word without one.
    """

    words: list[str]
    vectors_vd: np.ndarray

    @property
    def missing(self) -> int:
        """How many words have no vector."""
        return int(np.isnan(self.vectors_vd[:, 0]).sum())


def _open_zip(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [member.filename for member in archive.infolist() if not member.is_dir()]
    if len(names) != 1:
        raise DataError(
            f"{path}: has {len(names)} files ({', '.join(names[:8])}), not one: unpack the file with the wanted vectors"
        )
    return archive.open(names[0])


OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {".gz": gzip.open, ".xz": lzma.open, ".zip": _open_zip}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Iterator[tuple[int, str]]]:
    """The lines of a file with their numbers, unpacked as its ending says."""
    if not path.is_file():
        raise DataError(f"preprocess.embeddings = {str(path)!r}: there is no such file")

    def numbered(file: IO[str]) -> Iterator[tuple[int, str]]:
        number = 0
        while line := file.readline(MOST_CHARACTERS):
            number += 1
            if len(line) == MOST_CHARACTERS:
                raise DataError(f"{path}, line {number:,}: longer than a word and its vector can be")
            yield number, line

    try:
        with OPENERS.get(path.suffix.lower(), open_plain)(path) as packed:
            yield numbered(io.TextIOWrapper(packed, encoding="utf-8", errors="replace", newline="\n"))
    except DAMAGED as error:
        raise DataError(f"{path}: damaged, or not packed as its ending says: {one_line(error)}") from error


def open_plain(path: Path) -> IO[bytes]:
    """Open a file that is not packed."""
    return path.open("rb")


def _is_header(words: Sequence[str]) -> bool:
    """Whether a line has the numbers of words and dimensions, as those of word2vec and fastText begin."""
    return len(words) == 2 and all(word.isdecimal() for word in words)


def _header_width(number: str, path: Path) -> int:
    """The dimensions in a header.

    Raises:
        DataError: there are none, or more than a line can have.
    """
    width = int(number) if len(number) <= len(str(MOST_DIMENSIONS)) else 0  # `int` refuses thousands of digits
    if not 1 <= width <= MOST_DIMENSIONS:
        raise DataError(
            f"{path}, line 1: the header says that vectors have {number[:40]} dimensions, and 1 to "
            f"{MOST_DIMENSIONS:,} are possible: correct or remove this line"
        )
    return width


def vectors_width(path: Path) -> int:
    """The dimensions of the vectors in a file, 1 or more.

    Raises:
        DataError: the file is absent, damaged, or has no vector in its first line.
    """
    with _lines(path) as lines:
        _, line = next(lines, (1, ""))
        parts = _parts(line)
        if _is_header(parts):
            return _header_width(parts[1], path)
        if len(parts) > 1 and _numbers(parts[1:]) is not None:
            return len(parts) - 1
    raise DataError(f"{path}, line 1: expected a word and its numbers, as GloVe's files have them, with spaces between")


def _parts(line: str) -> list[str]:
    return line.rstrip("\n").rstrip(" ").split(" ")


def _numbers(words: Sequence[str]) -> np.ndarray | None:
    try:
        return np.array(words, np.float32)
    except ValueError:
        return None


def first_words(path: Path, count: int) -> Iterator[str]:
    """The words of the first lines.

    Raises:
        DataError: as `vectors_width`.
    """
    width = vectors_width(path)
    with _lines(path) as lines:
        for _, line in itertools.islice(lines, count):
            yield " ".join(_parts(line)[:-width])


def read_vectors(path: Path, vocabulary: Sequence[str], *, extra: int = 0) -> Vectors:
    """The vectors of the words of a vocabulary, and of more words. Others are skipped: memory does not grow with them.

    Args:
        path: the file.
        vocabulary: the words.
        extra: how many of the file's other words are taken, the first ones that `split_words` can make.

    Raises:
        DataError: the file is absent or damaged, or a line has no vector; the message names the line.
    """
    width, words = vectors_width(path), list(vocabulary)
    places, most = {word: place for place, word in enumerate(words)}, len(words) + extra
    found: dict[int, np.ndarray] = {}
    with _lines(path) as lines:
        for number, line in lines:
            parts = _parts(line)
            if number == 1 and _is_header(parts):
                continue
            # Words of GloVe 840B have spaces in them; the numbers are the last ones.
            word, values = " ".join(parts[:-width]), parts[-width:]
            # Others, such as words with capitals, cannot come out of a text.
            wanted = word in places or (len(words) < most and split_words(word) == [word])
            if not wanted and len(parts) > width:
                continue
            vector = _numbers(values) if len(parts) > width else None
            if vector is None or not np.isfinite(vector).all():
                raise DataError(f"{path}, line {number:,}: expected a word and {width} numbers, found {line[:60]!r}")
            if word not in places:
                places[word] = len(words)
                words.append(word)
            found.setdefault(places[word], vector)  # the first one counts, as of a duplicate
    vectors_vd = np.full((len(words), width), np.nan, np.float32)
    for place, vector in found.items():
        vectors_vd[place] = vector
    return Vectors(words, vectors_vd)
