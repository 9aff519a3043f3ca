"""The texts that a user names: texts themselves, files, tables, and the lines of standard input."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cct.data.archives import ARCHIVE_SUFFIXES
from cct.data.containers import Container, open_container
from cct.data.images.decoding import SUFFIXES
from cct.data.listing import is_image, is_text
from cct.data.plain_files import File
from cct.data.tables import BINARY, READERS, is_table, read_table, rows_of
from cct.data.texts.encodings import AS_UTF8, decode, decode_file
from cct.data.texts.formats import COLUMNS, MAX_TEXT_BYTES
from cct.data.texts.tokens import clean_text
from cct.errors import CCTError
from cct.tasks.named import Chunk, Named, fitting_paths
from cct.tasks.text_classification.inference import TextReader

STANDARD_INPUT = "-"
# Endings of files, of which a text has none.
FILES = (".txt", *READERS, *ARCHIVE_SUFFIXES, *SUFFIXES, ".gz", ".bz2", ".xz", ".zst")
CHUNK, CHUNK_CHARACTERS = 256, 1 << 22  # texts that are numbered at a time, and how long they may be together


class NamedText(NamedTuple):
    """A text and what it is called, or why there is none."""

    name: str
    text: str
    error: str = ""


class NamedSource(NamedTuple):
    """The texts of a name.

    Attributes:
        count: how many there are.
        texts: the texts. Those of files are read when their turn comes, so that not all of them are in memory.
        own_names: the names of texts that are called what they say, and not by the name of a file.
    """

    count: int
    texts: Iterable[NamedText]
    own_names: Collection[str] = ()


def named_texts(names: Sequence[str], reader: TextReader) -> Named:
    """The texts that a user names.

    Args:
        names: texts; text files, each a text; folders and archives of them; tables with a column of texts; patterns
            with `*`, `?`, `[]` or `**`; or "-" for the lines of standard input.
        reader: the model's reader.

    Raises:
        CCTError: a folder, an archive, a table or standard input cannot be read, or a name is that of a file which is
            not there.
    """
    sources = [source for name in names for source in _sources(name, reader)]
    own = {name for source in sources for name in source.own_names}
    texts = (one for source in sources for one in source.texts)
    return Named(sum(source.count for source in sources), "texts", _chunks(texts, reader), lambda name: name not in own)


def _chunks(texts: Iterable[NamedText], reader: TextReader) -> Iterator[Chunk]:
    part: list[NamedText] = []
    characters = 0
    for one in texts:
        part.append(one if one.error or clean_text(one.text) else NamedText(one.name, "", "no text"))
        characters += len(one.text)
        if len(part) == CHUNK or characters >= CHUNK_CHARACTERS:
            yield _chunk(part, reader)
            part, characters = [], 0
    if part:
        yield _chunk(part, reader)


def _chunk(part: Sequence[NamedText], reader: TextReader) -> Chunk:
    good = [one.text for one in part if not one.error]
    errors = {place: one.error for place, one in enumerate(part) if one.error}
    return Chunk([one.name for one in part], reader.arrays(good), errors, good)


def _sources(name: str, reader: TextReader) -> Iterator[NamedSource]:
    if name == STANDARD_INPUT:
        lines = decode(sys.stdin.buffer.read(), "standard input", remedy=AS_UTF8).split("\n")
        lines = lines if lines[-1] else lines[:-1]
        texts = [
            NamedText(line.strip() or f"standard input, line {number:,}", line)
            for number, line in enumerate(lines, start=1)
        ]
        yield NamedSource(len(texts), texts, {line.strip() for line in lines})
    elif paths := _existing(name):
        for path in paths:
            yield _source_at(path, reader)
    elif name.lower().endswith(FILES) and (len(name.split()) == 1 or "/" in name):
        raise CCTError(f"{name}: there is no such file. Put a space behind it if it is a text")
    else:
        yield NamedSource(1, [NamedText(name, name)], {name})


def _source_at(name: str, reader: TextReader) -> NamedSource:
    """The texts of a folder, an archive, a table or a file."""
    path = Path(name)
    if path.is_dir() or name.lower().endswith(ARCHIVE_SUFFIXES):
        container = open_container(path)
        names = container.names()
        if not (wanted := [one for one in names if is_text(one)]):
            raise CCTError(f"{path}: none of its {len(names):,} files is a text (.txt)")
        return NamedSource(len(wanted), _texts_inside(container, wanted))
    if is_table(path):
        content = None if path.suffix.lower() in BINARY else decode_file(path, remedy=AS_UTF8)
        columns = COLUMNS | ({"text": (reader.column, *COLUMNS["text"])} if reader.column else {})
        rows = rows_of(
            read_table(path, content), path, columns, required=("text",), kind="texts", remedy="write the text"
        )
        texts = [NamedText(f"{name}, row {number}", row["text"]) for number, row in enumerate(rows, start=1)]
        return NamedSource(len(texts), texts)
    if is_image(path.name):
        return NamedSource(1, [NamedText(name, "", "an image, and this model takes texts")])
    return NamedSource(1, map(_text_of, [File(name, path)]))


def _texts_inside(container: Container, names: Sequence[str]) -> Iterator[NamedText]:
    """The text files of a folder and of those in it, or of an archive, in the order of `Container.names`."""
    for file in container.files(names):
        yield _text_of(file._replace(name=f"{container.path}/{file.name}"))


def _text_of(file: File) -> NamedText:
    """The text in a file."""
    try:
        return NamedText(file.name, decode(file.read(most=MAX_TEXT_BYTES), file.name, remedy=AS_UTF8))
    except CCTError as error:
        return NamedText(file.name, "", str(error).removeprefix(f"{file.name}, "))


def _existing(name: str) -> list[str]:
    """The files and folders of this name, or that fit it as a pattern.

    A text may be too long for a name, have signs that no name has, or look like a pattern: "How far is it?".
    """
    try:
        return fitting_paths(name) if name.isprintable() or os.path.exists(name) else []
    except (OSError, ValueError):
        return []
