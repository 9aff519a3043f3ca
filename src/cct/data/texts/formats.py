"""Readers of the formats of texts: lines, tables and files of classes."""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cct.data.arrays import DataError
from cct.data.containers import Container, open_container
from cct.data.images.decoding import MAX_FILE_BYTES
from cct.data.listing import TEXTS, ClassFolder, list_class_folders, require_groups_in_one_split, split_of
from cct.data.plain_files import FileError
from cct.data.tables import BINARY, read_table, rows_of
from cct.data.texts.encodings import AUTO, decode, decode_file, read_whole
from cct.data.texts.items import Text, Texts, make_texts

# The names of columns in any letter case, with those that other tools write.
COLUMNS = {
    "text": ("text", "sentence", "question", "review", "content", "message", "tweet", "body"),
    "label": ("label", "class", "category", "target", "class_name", "sentiment"),
    "split": ("split", "subset"),
    "group": ("group", "group_id"),
}
PARAMETERS = {"text": "preprocess.text_column", "label": "preprocess.label_column"}  # each names a column
LATIN = "iso-8859-1"  # TREC's
MOST_CHARACTERS = 1 << 27  # of a field of a CSV file
MAX_TEXT_BYTES = 1 << 26  # of a file that is one text, whose words need some ten times as much memory
MOST_DIGITS = 9  # of the number of a class


class Reading(NamedTuple):
    """How a source is read.

    Attributes:
        encoding: the encoding of its files, or "auto".
        class_folder: which folder is the class where folders are nested, or which part of TREC's labels.
        text_column: the column of a table's texts; None: one with a usual name.
        label_column: that of its labels.
        classes: those of a descriptor, in the order of their labels.
    """

    encoding: str = AUTO
    class_folder: ClassFolder | None = None
    text_column: str | None = None
    label_column: str | None = None
    classes: Sequence[str] | None = None

    def columns(self) -> dict[str, Sequence[str]]:
        """The spellings of each column."""
        named = {"text": self.text_column, "label": self.label_column}
        return COLUMNS | {column: (name,) for column, name in named.items() if name}


def read_text_table(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read a table (`cct.data.tables`) with the columns text and label, and, where the user likes, split and group.

    Raises:
        DataError: the file is damaged, a column or a value is absent, or a value is not allowed.
    """
    path = paths["table"]
    text = None if path.suffix.lower() in BINARY else decode_file(path, encoding=reading.encoding)
    rows = rows_of(
        read_table(path, text),
        path,
        reading.columns(),
        required=("text", "label"),
        kind="texts",
        remedy="write the text itself, or a number or word as its label",
        parameters=PARAMETERS,
    )
    items = list(_items_of(rows, path))
    require_groups_in_one_split(items, path, kind="texts")
    return make_texts(items, path, classes=reading.classes)


def _items_of(rows: Sequence[Mapping[str, str]], path: Path) -> Iterator[Text]:
    for number, row in enumerate(rows, start=1):
        for column in ("text", "label"):
            if not row[column]:
                raise DataError(f"{path}, row {number:,}: no {column}")
        split = split_of(row["split"])
        if row["split"] and not split:
            raise DataError(
                f"{path}, row {number:,}: the split {row['split'][:100]!r} is not one of train, val, test: correct it, "
                "or rename the column"
            )
        yield Text(row["text"], row["label"], split, row["group"] or None)


def read_trec(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read TREC's questions: lines of `LABEL:fine text` in ISO-8859-1 (Li & Roth 2002).

    Args:
        paths: {"train": path, "test": path}.
        reading: `class_folder` "leaf" makes the whole label the class; otherwise its first part is.

    Raises:
        DataError: a line has no label or no text.
    """
    whole, items = reading.class_folder == "leaf", []
    for split, path in paths.items():
        for number, line in _lines(path, reading.encoding, LATIN):
            label, _, text = line.partition(" ")
            coarse, colon, fine = label.partition(":")
            if not (coarse and colon and fine and text.strip()):
                raise DataError(f"{path}, line {number:,}: expected LABEL:fine and a text, found {line[:80]!r}")
            items.append(Text(text.strip(), label if whole else coarse, split))
    return make_texts(items, next(iter(paths.values())), classes=reading.classes)


def read_trec_fine(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read TREC's questions with their fine classes.

    Raises:
        DataError: as `read_trec`.
    """
    return read_trec(paths, reading._replace(class_folder="leaf"))


def read_ag_news(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read the CSV of AG News: the number of a class, from 1, and texts such as title and description.

    Args:
        paths: {"train": path, "test": path}.
        reading: with the classes of the descriptor.

    Raises:
        DataError: a row has no text, or no number of a class.
    """
    contents = {split: (path, read_whole(path)) for split, path in paths.items()}
    return _read_numbered(contents, reading)


def read_ag_news_archive(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read an archive with a `train.csv` and a `test.csv` as those of AG News, as DBpedia is one.

    Raises:
        DataError: it has not one of each; or as `read_ag_news`.
    """
    return _read_numbered(_members(paths["archive"], {"train": "train.csv", "test": "test.csv"}), reading)


def _read_numbered(contents: Mapping[str, tuple[Any, bytes]], reading: Reading) -> Texts:
    classes = reading.classes or ()
    items = []
    csv.field_size_limit(MOST_CHARACTERS)
    for split, (where, content) in contents.items():
        rows = csv.reader(io.StringIO(decode(content, where, encoding=reading.encoding), newline=""), strict=True)
        try:
            for row in filter(None, rows):  # a blank line is no row
                place = _class_number(row[0]) - 1
                text = " ".join(part for part in row[1:] if part).replace("\\", " ").strip()
                if not 0 <= place < len(classes) or not text:
                    raise DataError(
                        f"{where}, line {rows.line_num:,}: expected the number of a class, 1 to {len(classes)}, and a "
                        f"text, found {','.join(row)[:80]!r}"
                    )
                items.append(Text(text, classes[place], split))
        except csv.Error as error:
            raise DataError(f"{where}, line {rows.line_num:,}: not a CSV file: {error}") from error
    return make_texts(items, next(iter(contents.values()))[0], classes=classes)


def read_sst2(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read GLUE's archive of SST-2. Its dev split, which has labels, is the test split here, as in the literature.

    Raises:
        DataError: it has no such files, or a value is absent.
    """
    members, items = _members(paths["archive"], {"train": "train.tsv", "test": "dev.tsv"}), []
    classes = reading.classes or ()
    for split, (where, content) in members.items():
        text = decode(content, where, encoding=reading.encoding)
        for number, line in enumerate(text.rstrip("\n").split("\n")[1:], start=2):
            line = line.rstrip("\r")
            sentence, _, cell = line.rpartition("\t")
            place = _class_number(cell)
            if not sentence.strip() or not 0 <= place < len(classes):
                raise DataError(
                    f"{where}, line {number:,}: expected a text, a tab and a class, 0 to {len(classes) - 1}, found "
                    f"{line[:80]!r}"
                )
            items.append(Text(sentence.strip(), classes[place], split))
    return make_texts(items, paths["archive"], classes=classes)


def _class_number(text: str) -> int:
    """The number in a cell; -1 if it has none, or more digits than that of any class: `int` refuses thousands."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else -1


def _members(path: Path, names: Mapping[str, str]) -> dict[str, tuple[str, bytes]]:
    """The content of one file of each name in an archive, in any folder, with the words that errors name it by."""
    container, found = open_container(path), {}
    wanted = {name: key for name in container.iter_names() for key in names if name.split("/")[-1] == names[key]}
    if sorted(wanted.values()) != sorted(names):
        raise DataError(f"{path}: expected one file of each name: {', '.join(names.values())}")
    for name, content in _contents(container, [*wanted], most=MAX_FILE_BYTES):
        found[wanted[name]] = (f"{path}: {name}", content)
    return {key: found[key] for key in names}


def read_text_folders(paths: Mapping[str, Path], reading: Reading) -> Texts:
    """Read `.txt` files in folders of classes, in a folder or an archive. A text is a file.

    Of a descriptor's archive only the folders of its classes count: that of IMDb has reviews without a class, too.

    Raises:
        DataError: as `list_class_folders`; or a file is empty, of another encoding, too large, or no plain file.
    """
    path = paths["archive"]
    container = open_container(path)
    names, ignored = container.names(), {}
    if reading.classes:
        # An archive made on macOS has its names in Unicode's form NFD.
        folders = (unicodedata.normalize("NFC", name).split("/")[:-1] for name in names)
        chosen = [name for name, parts in zip(names, folders, strict=True) if not {*reading.classes}.isdisjoint(parts)]
        if outside := len(names) - len(chosen):
            ignored = {"files outside of the classes' folders": outside}
        names = chosen
    listing = list_class_folders(names, where=path, class_folder=reading.class_folder, kind=TEXTS)
    texts = {}
    for name, content in _contents(container, [item.name for item in listing.items], most=MAX_TEXT_BYTES):
        texts[name] = decode(content, f"{path}: {name}", encoding=reading.encoding).strip()
        if not texts[name]:
            raise DataError(f"{path}: {name} has no text: remove it")
    items = [Text(texts[item.name], item.label, item.split) for item in listing.items]
    return make_texts(items, path, classes=reading.classes, ignored=ignored | listing.ignored)


def _contents(container: Container, names: Sequence[str], *, most: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of files, of at most `most` bytes each."""
    for file in container.files(names):
        try:
            content = file.read(most=most)
        except FileError as error:
            raise DataError(f"{container.where}: {file.name} cannot be used ({error}): mend or remove it") from error
        yield file.name, content


def _lines(path: Path, encoding: str, default: str) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    for number, line in enumerate(decode_file(path, encoding=encoding, default=default).split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


# The readers of the formats of texts in `cct.data.formats.registry`. To add one, write its reader and an entry in each.
TEXT_READERS: dict[str, Callable[[Mapping[str, Path], Reading], Texts]] = {
    "text-table": read_text_table,
    "text-folders": read_text_folders,
    "trec": read_trec,
    "trec-fine": read_trec_fine,
    "ag-news-csv": read_ag_news,
    "ag-news-archive": read_ag_news_archive,
    "sst2": read_sst2,
}
TREC_SUFFIX = ".label"


def trec_files(folder: Path) -> dict[str, Path]:
    """TREC's two files in a folder by split, if it has exactly two such files; otherwise none.

    The smaller file is the test split: it has 500 questions, the other 5,452.
    """

    def size(path: Path) -> int:
        return path.stat().st_size if path.exists() else 0  # of a broken link, which `read_trec` refuses

    found = sorted(folder.glob(f"*{TREC_SUFFIX}"), key=size, reverse=True)
    return dict(zip(("train", "test"), found, strict=True)) if len(found) == 2 else {}
