"""The texts that a user names: texts themselves, files, tables, and the lines of standard input."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cct.data.tables import BINARY, is_table, read_table, rows_of
from cct.data.texts.encodings import decode
from cct.data.texts.formats import COLUMNS
from cct.errors import CCTError
from cct.tasks.named import Chunk, Named
from cct.tasks.text_classification.inference import TextReader, read_text

STANDARD_INPUT = "-"
CHUNK = 256  # texts that are numbered at a time


class NamedText(NamedTuple):
    """A text and what it is called; empty if there is none."""

    name: str
    text: str


def named_texts(names: Sequence[str]) -> Named:
    """The texts that a user names.

    Args:
        names: texts; text files, each a text; tables with a column of texts; or "-" for the lines of standard input.

    Raises:
        CCTError: a file cannot be read, or is not UTF-8; the message names the line.
    """
    found = [text for name in names for text in _texts(name)]

    def chunks(reader: TextReader) -> Iterator[Chunk]:
        left = iter(found)
        while part := list(itertools.islice(left, CHUNK)):
            good = [one.text for one in part if one.text]
            errors = {place: "no text" for place, one in enumerate(part) if not one.text}
            yield Chunk([one.name for one in part], reader.arrays(good), errors, good)

    return Named(len(found), "texts", chunks)


def _texts(name: str) -> Iterator[NamedText]:
    if name == STANDARD_INPUT:
        for line in decode(sys.stdin.buffer.read(), "standard input").splitlines():
            yield NamedText(line, line.strip())
    elif not (path := _existing(name)):
        yield NamedText(name, name.strip())
    elif path.is_dir():
        raise CCTError(f"{name} is a folder: name its files, as in {name.rstrip('/')}/*.txt")
    elif is_table(path):
        content = None if path.suffix.lower() in BINARY else read_text(path)
        rows = rows_of(
            read_table(path, content), path, COLUMNS, required=("text",), kind="texts", remedy="write the text"
        )
        for number, row in enumerate(rows, start=1):
            yield NamedText(f"{name}, row {number}", row["text"])
    else:
        yield NamedText(name, read_text(path).strip())


def _existing(name: str) -> Path | None:
    """The file or folder of this name. A text may be too long for a name, or have signs that no name has."""
    try:
        return path if (path := Path(name)).exists() else None
    except (OSError, ValueError):
        return None
