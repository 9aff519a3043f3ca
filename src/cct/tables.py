"""Reading of CSV files. Errors name the line and the column of a mistake."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from cct.errors import CCTError


class TableError(CCTError):
    """A file in `reports/` does not have the content that its stage writes."""


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers.

    Raises:
        TableError: the file cannot be read, has no rows, or has a row whose length differs from the header's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"cannot read {path}: {error}") from error
    for line, row in rows:
        if len(row) != len(header):
            raise TableError(f"{path}, line {line}: {len(row)} values for {len(header)} columns")
    if not rows:
        raise TableError(f"{path} has no rows")
    return header, rows


def column_places(path: Path, header: list[str], wanted: Sequence[str] | Mapping[str, type]) -> dict[str, int]:
    """The index of each wanted column, from 0.

    Raises:
        TableError: the header lacks a wanted column.
    """
    missing = [name for name in wanted if name not in header]
    if missing:
        raise TableError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(header)}")
    return {name: header.index(name) for name in wanted}


def parse_number(path: Path, line: int, column: str, text: str, kind: type) -> int | float:
    """The number in a field, an `int` or a `float` according to `kind`.

    Raises:
        TableError: the field has no such number; the message names file, line and column.
    """
    try:
        return kind(text)
    except ValueError:
        raise TableError(
            f"{path}, line {line}: {column} = {text!r}: must be {'a whole' if kind is int else 'a'} number"
        ) from None
