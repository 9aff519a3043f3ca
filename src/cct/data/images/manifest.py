"""Tables of images: a path and a label in each row, and, where the user likes, a split and a group."""

import math
import numbers
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from cct.data.arrays import DataError
from cct.data.images.listing import Item, Listing, make_listing, require_class_names, split_of
from cct.errors import one_line

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_SHOWN = 5
# The names of columns in any letter case, with those that other tools write.
COLUMNS = {
    "path": ("path", "file_name", "filename", "file", "image", "image_path", "filepath"),
    "label": ("label", "class", "category", "target", "class_name"),
    "split": ("split", "subset"),
    "group": ("group", "group_id"),
}


def _read_text(separator: str) -> Callable[[Path], "DataFrame"]:
    def read(path: Path) -> "DataFrame":
        import pandas

        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            # Text stays text: the label "01" is no number, and "NA" is not absent.
            return pandas.read_csv(
                path, sep=separator, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
            )

    return read


def _read_json_lines(path: Path) -> "DataFrame":
    import pandas

    return pandas.read_json(path, lines=True, dtype=False, encoding="utf-8-sig")


def _read_parquet(path: Path) -> "DataFrame":
    import pandas

    return pandas.read_parquet(path, engine="pyarrow")


# To add a kind of table, write its function and an entry.
READERS: dict[str, Callable[[Path], "DataFrame"]] = {
    ".csv": _read_text(","),
    ".tsv": _read_text("\t"),
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
NAMES = tuple(f"{stem}{suffix}" for stem in ("manifest", "metadata") for suffix in READERS)


def manifest_in(folder: Path) -> Path | None:
    """The manifest in a folder: a file with one of `NAMES`.

    Raises:
        DataError: there are several.
    """
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: {' and '.join(path.name for path in found)} are both manifests: remove one")
    return found[0] if found else None


def read_manifest(path: Path) -> Listing:
    """The images that a manifest names, in its order.

    Args:
        path: a table with the ending of a key of `READERS`.

    Returns:
        The images; the names of files are as in the manifest, relative to its folder or absolute.

    Raises:
        DataError: the file is damaged, a column or a value is absent, or a value is not allowed.
    """
    rows = _rows(path)
    where = f"{path}, row"
    items, seen = [], {}
    for number, row in enumerate(rows, start=1):
        for column in ("path", "label"):
            if not row[column]:
                raise DataError(f"{where} {number:,}: no {column}")
        if not row["path"].isprintable():
            raise DataError(f"{where} {number:,}: the path {row['path'][:100]!a} has control characters")
        split = split_of(row["split"])
        if row["split"] and not split:
            raise DataError(
                f"{where} {number:,}: the split {row['split'][:100]!r} is not one of train, val, test: correct it, or "
                "rename the column"
            )
        name = str(PurePosixPath(row["path"].replace("\\", "/")))  # a table made on Windows has backslashes
        if name in seen:
            raise DataError(f"{where} {number:,}: {name} is in row {seen[name]:,} too")
        seen[name] = number
        label = unicodedata.normalize("NFC", row["label"])
        items.append(Item(name, label, split, row["group"] or None))
    require_class_names({item.label for item in items}, path)
    _require_groups_in_one_split(items, path)
    return make_listing(items, Counter())


def _rows(path: Path) -> Sequence[dict[str, str]]:
    """The cells of each row as text, by `COLUMNS`."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: not a plain file")
        table = READERS[path.suffix.lower()](path)
    except (ValueError, OSError, TypeError, KeyError, ArithmeticError, Warning) as error:  # pyarrow's are among these
        raise DataError(f"{path}: not a {path.suffix.lower()} table: {one_line(error)}") from error
    names = {str(name).strip().lower(): name for name in table.columns}
    columns = {}
    for column, spellings in COLUMNS.items():
        found = [names[spelling] for spelling in spellings if spelling in names]
        if not found and column in ("path", "label"):
            raise DataError(
                f"{path}: no column {column} (or {', '.join(spellings[1:])}); its columns are: "
                f"{', '.join(str(name)[:50] for name in list(table.columns)[:20])}. Rename the file if it is no table "
                "of images"
            )
        values = table[found[0]] if found else [""] * len(table)
        columns[column] = [_text(value, f"{path}, row {row:,}: the {column}") for row, value in enumerate(values, 1)]
    if not len(table):
        raise DataError(f"{path}: no rows")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _text(value: Any, what: str) -> str:
    """A cell as text. A whole number in a column with gaps is read as a float."""
    import pandas

    if value is None or value is pandas.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, str | numbers.Number | np.bool_):
        raise DataError(f"{what} is a {type(value).__name__}, not text: write images to files, and their paths here")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _require_groups_in_one_split(items: Sequence[Item], path: Path) -> None:
    splits: dict[str, set[str]] = {}
    for item in items:
        if item.group:
            splits.setdefault(item.group, set()).add(item.split or "train")
    torn = [group for group, found in splits.items() if len(found) > 1]
    if torn:
        raise DataError(
            f"{path}: {len(torn):,} groups are in several splits ({', '.join(torn[:MAX_SHOWN])}): give all images of a "
            "group one split"
        )
