"""Tables of images: a path and a label in each row, and, where the user likes, a split and a group."""

import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath

from cct.data.arrays import DataError
from cct.data.listing import (
    Item,
    Listing,
    make_listing,
    require_class_names,
    require_groups_in_one_split,
    split_of,
)
from cct.data.tables import BINARY, READERS, read_table, rows_of
from cct.data.texts.encodings import AS_UTF8, decode_file

# The names of columns in any letter case, with those that other tools write.
COLUMNS = {
    "path": ("path", "file_name", "filename", "file", "image", "image_path", "filepath"),
    "label": ("label", "class", "category", "target", "class_name"),
    "split": ("split", "subset"),
    "group": ("group", "group_id"),
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
        path: a table, as `cct.data.tables` reads it.

    Returns:
        The images; the names of files are as in the manifest, relative to its folder or absolute.

    Raises:
        DataError: the file is damaged, a column or a value is absent, or a value is not allowed.
    """
    text = None if path.suffix.lower() in BINARY or not path.is_file() else decode_file(path, remedy=AS_UTF8)
    rows = rows_of(
        read_table(path, text),
        path,
        COLUMNS,
        required=("path", "label"),
        kind="images",
        remedy="write images to files, and their paths here",
    )
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
    require_groups_in_one_split(items, path, kind="images")
    return make_listing(items, Counter())
