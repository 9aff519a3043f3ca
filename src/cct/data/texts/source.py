"""The texts of whatever `data.source` names: a descriptor's files, a table, TREC's files, or folders of classes."""

from collections.abc import Mapping
from pathlib import Path

from cct.data.arrays import DataError
from cct.data.containers import open_container
from cct.data.images.manifest import COLUMNS as IMAGE_COLUMNS
from cct.data.images.manifest import manifest_in
from cct.data.listing import is_image, is_text, list_class_folders
from cct.data.params import PreprocessParams
from cct.data.sources import LocalSource, Source
from cct.data.tables import BINARY, columns_of, is_table, read_table, require_columns, shown_columns
from cct.data.texts.encodings import AUTO, MARKS, decode, read_whole
from cct.data.texts.formats import PARAMETERS, TEXT_READERS, Reading, trec_files
from cct.data.texts.items import Texts


def reading_of(preprocess: PreprocessParams, source: Source | LocalSource) -> Reading:
    """How `preprocess` reads a source."""
    return Reading(
        encoding=preprocess.encoding,
        class_folder=preprocess.class_folder,
        text_column=preprocess.text_column,
        label_column=preprocess.label_column,
        classes=source.classes if isinstance(source, Source) else None,
    )


def read_texts(source: Source | LocalSource, files: Mapping[str, Path], preprocess: PreprocessParams) -> Texts:
    """All texts of a source.

    Args:
        source: the descriptor, or a folder or file of texts.
        files: the files of the descriptor by their roles; empty for the latter.
        preprocess: encoding, columns and class folder.

    Raises:
        DataError: a file is damaged, or has no text where one must be; the message names line or row.
    """
    form, paths = _format(source, files)
    return TEXT_READERS[form](paths, reading_of(preprocess, source))


def columns_read(
    source: Source | LocalSource, files: Mapping[str, Path], preprocess: PreprocessParams
) -> dict[str, str]:
    """The table's own name of each column that `read_texts` reads; empty if the source is no table.

    Args:
        source: as for `read_texts`.
        files: likewise.
        preprocess: likewise.

    Raises:
        DataError: the table is damaged.
    """
    form, paths = _format(source, files)
    if form != "text-table":
        return {}
    table = read_table(paths["table"], _header(paths["table"], preprocess.encoding))
    return {column: str(name) for column, name in columns_of(table, reading_of(preprocess, source).columns()).items()}


def _format(source: Source | LocalSource, files: Mapping[str, Path]) -> tuple[str, Mapping[str, Path]]:
    """The format of a source, and its files by their roles."""
    return (source.format, files) if isinstance(source, Source) else _local_format(source.path)


def _local_format(path: Path) -> tuple[str, Mapping[str, Path]]:
    """The format of a folder or file, and its files by their roles."""
    if table := table_in(path):
        return "text-table", {"table": table}
    if found := trec_files(path) if path.is_dir() else {}:
        return "trec", found
    return "text-folders", {"archive": path}


def table_in(path: Path) -> Path | None:
    """The table that a source is or has."""
    return path if is_table(path) else manifest_in(path) if path.is_dir() else None


def holds_texts(path: Path, preprocess: PreprocessParams) -> bool:
    """Whether a folder or file has texts: a table with their column and none of paths, TREC's files, or text files.

    A container with an image is one of images: texts beside images are notes.

    Raises:
        DataError: it cannot be read, or has neither.
    """
    if table := table_in(path):
        return _has_texts(table, preprocess)
    if path.is_dir() and trec_files(path):
        return True
    texts, names = False, []
    for name in open_container(path).iter_names():
        if is_image(name):
            return False
        texts = texts or is_text(name)
        names.append(name)
    if not texts:
        list_class_folders(names, where=path, class_folder=preprocess.class_folder)  # it refuses what has no image
    return texts


def _has_texts(path: Path, preprocess: PreprocessParams) -> bool:
    """Whether a table has a column of texts, and none of paths of images unless a parameter names the texts.

    Raises:
        DataError: it has neither, or no labels.
    """
    table = read_table(path, _header(path, preprocess.encoding))
    names = Reading(text_column=preprocess.text_column, label_column=preprocess.label_column).columns()
    texts, paths = "text" in columns_of(table, names), "path" in columns_of(table, IMAGE_COLUMNS)
    if texts and (preprocess.text_column or not paths):
        require_columns(table, path, names, ("label",), kind="texts", parameters=PARAMETERS)
        return True
    if paths:  # DVC leaves the columns of an earlier experiment in params.yaml
        require_columns(table, path, IMAGE_COLUMNS, ("label",), kind="images", parameters={})
        return False
    if preprocess.text_column:
        require_columns(table, path, names, ("text",), kind="texts", parameters=PARAMETERS)
    single = len(table.columns) == 1 and path.suffix.lower() == ".csv"
    comma = " Separate the columns by commas." if single else ""
    raise DataError(
        f"{path}: no column of texts ({', '.join(names['text'])}) or of paths of images "
        f"({', '.join(IMAGE_COLUMNS['path'])}); its columns are: {shown_columns(table)}: set "
        f"{PARAMETERS['text']} to the one of texts, or call the one of paths path.{comma} Rename the file if it is no "
        "table of texts or images"
    )


def _header(path: Path, encoding: str) -> str | None:
    """The first line of a table of text, which has the names of the columns; None of another table.

    The reader of texts names a later line that is wrong.

    Raises:
        DataError: it cannot be read, or is of another encoding; the message names the line.
    """
    if path.suffix.lower() in BINARY or not path.is_file():
        return None
    with path.open("rb") as file:
        marked = file.read(max(map(len, MARKS))).startswith((*MARKS,))
        file.seek(0)
        # Lines of another encoding may end in other bytes, and all of them are tried.
        whole = marked or encoding != AUTO
        content = read_whole(path) if whole else next((line for line in file if line.strip()), b"")
    return decode(content, path, encoding=encoding).lstrip().partition("\n")[0]
