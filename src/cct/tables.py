"""CSV files that name the line and the column of a mistake."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from cct.errors import CCTError


class TableError(CCTError):
    """A file in `reports/` is not what the stage before wrote."""


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers.

    Raises:
        TableError: the file cannot be read, has no rows, or has a row of another length than the header.
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
    """The place of each wanted column, from 0.

    Raises:
        TableError: the header lacks some.
    """
    missing = [name for name in wanted if name not in header]
    if missing:
        raise TableError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(header)}")
    return {name: header.index(name) for name in wanted}


def parse_number(path: Path, line: int, column: str, text: str, kind: type) -> int | float:
    """The number that a field has, `int` or `float` by `kind`.

    Raises:
        TableError: it is none; file, line and column are named.
    """
    try:
        return kind(text)
    except ValueError:
        raise TableError(
            f"{path}, line {line}: {column} = {text!r}: must be {'a whole' if kind is int else 'a'} number"
        ) from None
