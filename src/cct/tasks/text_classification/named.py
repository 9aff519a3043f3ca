"""The texts that a user names: texts themselves, files, tables, and the lines of standard input."""

import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cct.data.containers import ARCHIVE_SUFFIXES, open_container
from cct.data.images.decoding import SUFFIXES, ImageError
from cct.data.listing import is_image, is_text
from cct.data.tables import BINARY, READERS, is_table, read_table, rows_of
from cct.data.texts.encodings import AS_UTF8, decode
from cct.data.texts.formats import COLUMNS
from cct.data.texts.tokens import clean_text
from cct.errors import CCTError
from cct.tasks.named import Chunk, Named, fitting_paths
from cct.tasks.text_classification.inference import TextReader, read_text

STANDARD_INPUT = "-"
# Endings of files, of which a text has none.
FILES = (".txt", *READERS, *ARCHIVE_SUFFIXES, *SUFFIXES, ".gz", ".bz2", ".xz", ".zst")
CHUNK = 256  # texts that are numbered at a time


class NamedText(NamedTuple):
    """A text and what it is called, or why there is none."""

    name: str
    text: str
    error: str = ""


def named_texts(names: Sequence[str], reader: TextReader) -> Named:
    """The texts that a user names.

    Args:
        names: texts; text files, each a text; folders and archives of them; tables with a column of texts; patterns
            with `*`, `?`, `[]` or `**`; or "-" for the lines of standard input.
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

    files = {one.name for one in found if one.name.strip() != one.text.strip()}
    return Named(len(found), "texts", chunks(), is_path=files.__contains__)


def _texts(name: str, reader: TextReader) -> Iterator[NamedText]:
    if name == STANDARD_INPUT:
        lines = decode(sys.stdin.buffer.read(), "standard input", remedy=AS_UTF8).split("\n")
        for number, line in enumerate(lines if lines[-1] else lines[:-1], start=1):
            yield NamedText(line.strip() or f"standard input, line {number:,}", line)
    elif paths := _existing(name):
        for path in paths:
            yield from _texts_in(path, reader)
    elif name.lower().endswith(FILES) and (len(name.split()) == 1 or "/" in name):
        raise CCTError(f"{name}: there is no such file. Put a space behind it if it is a text")
    else:
        yield NamedText(name, name)


def _texts_in(name: str, reader: TextReader) -> Iterator[NamedText]:
    """The texts of a folder, an archive, a table or a file."""
    path = Path(name)
    if path.is_dir() or name.lower().endswith(ARCHIVE_SUFFIXES):
        yield from _texts_inside(path)
    elif is_table(path):
        content = None if path.suffix.lower() in BINARY else read_text(path)
        columns = COLUMNS | ({"text": (reader.column, *COLUMNS["text"])} if reader.column else {})
        rows = rows_of(
            read_table(path, content), path, columns, required=("text",), kind="texts", remedy="write the text"
        )
        for number, row in enumerate(rows, start=1):
            yield NamedText(f"{name}, row {number}", row["text"])
    elif is_image(path.name):
        yield NamedText(name, "", "an image, and this model takes texts")
    else:
        try:
            yield NamedText(name, read_text(path))
        except CCTError as error:
            yield NamedText(name, "", str(error).removeprefix(f"{path}, "))


def _texts_inside(path: Path) -> Iterator[NamedText]:
    """The text files of a folder and of those in it, or of an archive, in the order of their names."""
    container = open_container(path)
    names = container.names()
    if not (wanted := sorted(name for name in names if is_text(name))):
        raise CCTError(f"{path}: none of its {len(names):,} files is a text (.txt)")
    for file in sorted(container.files(wanted), key=lambda file: file.name):
        name = f"{path}/{file.name}"
        try:
            if isinstance(file.content, ImageError):
                raise CCTError(str(file.content))
            if isinstance(file.content, Path):
                yield NamedText(name, read_text(file.content))
            else:
                yield NamedText(name, decode(file.content, name, remedy=AS_UTF8))
        except CCTError as error:
            yield NamedText(name, "", str(error).removeprefix(f"{name}, "))


def _existing(name: str) -> list[str]:
    """The files and folders of this name, or that fit it as a pattern.

    A text may be too long for a name, have signs that no name has, or look like a pattern: "How far is it?".
    """
    try:
        return fitting_paths(name) if name.isprintable() or os.path.exists(name) else []
    except (OSError, ValueError):
        return []
