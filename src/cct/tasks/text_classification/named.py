"""The texts that a user names: texts themselves, files, tables, and the lines of standard input."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cct.data.tables import BINARY, READERS, is_table, read_table, rows_of
from cct.data.texts.encodings import AS_UTF8, decode
from cct.data.texts.formats import COLUMNS
from cct.data.texts.tokens import clean_text
from cct.errors import CCTError
from cct.tasks.named import Chunk, Named
from cct.tasks.text_classification.inference import TextReader, read_text

STANDARD_INPUT = "-"
FILES = (".txt", *READERS)  # endings of files, of which a text has none
CHUNK = 256  # texts that are numbered at a time


class NamedText(NamedTuple):
    """A text and what it is called, or why there is none."""

    name: str
    text: str
    error: str = ""


def named_texts(names: Sequence[str], reader: TextReader) -> Named:
    """The texts that a user names.

    Args:
        names: texts; text files, each a text; tables with a column of texts; or "-" for the lines of standard input.
        reader: the model's reader.

    Raises:
        CCTError: a table or standard input cannot be read, or a name is that of a file which is not there.
    """
    found = [
        one if one.error or clean_text(one.text) else NamedText(one.name, "", "no text")
        for name in names
        for one in _texts(name, reader)
    ]

    def chunks() -> Iterator[Chunk]:
        left = iter(found)
        while part := list(itertools.islice(left, CHUNK)):
            good = [one.text for one in part if not one.error]
            errors = {place: one.error for place, one in enumerate(part) if one.error}
            yield Chunk([one.name for one in part], reader.arrays(good), errors, good)

    return Named(len(found), "texts", chunks())


def _texts(name: str, reader: TextReader) -> Iterator[NamedText]:
    if name == STANDARD_INPUT:
        lines = decode(sys.stdin.buffer.read(), "standard input", remedy=AS_UTF8).split("\n")
        for line in lines if lines[-1] else lines[:-1]:
            yield NamedText(line.strip(), line)
    elif not (path := _existing(name)):
        if name.lower().endswith(FILES) and len(name.split()) == 1:
            raise CCTError(f"{name}: there is no such file. Put a space into it if it is a text")
        yield NamedText(name, name)
    elif path.is_dir():
        raise CCTError(f"{name} is a folder: name its files, as in {name.rstrip('/')}/*.txt")
    elif is_table(path):
        content = None if path.suffix.lower() in BINARY else read_text(path)
        columns = COLUMNS | ({"text": (reader.column, *COLUMNS["text"])} if reader.column else {})
        rows = rows_of(
            read_table(path, content), path, columns, required=("text",), kind="texts", remedy="write the text"
        )
        for number, row in enumerate(rows, start=1):
            yield NamedText(f"{name}, row {number}", row["text"])
    else:
        try:
            yield NamedText(name, read_text(path))
        except CCTError as error:
            yield NamedText(name, "", str(error).removeprefix(f"{path}, "))


def _existing(name: str) -> Path | None:
    """The file or folder of this name. A text may be too long for a name, or have signs that no name has."""
    try:
        return path if (path := Path(name)).exists() else None
    except (OSError, ValueError):
        return None
