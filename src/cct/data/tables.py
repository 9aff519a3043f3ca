"""Tables of examples: CSV, TSV, JSON lines and Parquet, whose columns have names."""

import contextlib
import csv
import io
import json
import math
import numbers
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cct.data.arrays import DataError
from cct.errors import one_line

if TYPE_CHECKING:
    from pandas import DataFrame

Names = Mapping[str, Sequence[str]]  # the spellings of each column, of which the first is its own


def _read_text(separator: str) -> Callable[[Path | IO[str]], "DataFrame"]:
    def read(source: Path | IO[str]) -> "DataFrame":
        import pandas

        own = ";" if separator == "," and _has_semicolons(source) else separator
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pandas.errors.ParserWarning)
                # Text stays text: the label "01" is no number, and "NA" is not absent.
                table = pandas.read_csv(
                    source, sep=own, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
                )
        except pandas.errors.EmptyDataError as error:
            raise ValueError("it is empty") from error
        except (pandas.errors.ParserWarning, pandas.errors.ParserError) as error:  # not in words for people
            raise ValueError(_open_quotation(error) or _long_row(source, own) or error) from error
        if separator == "\t":
            _require_whole_rows(table)
        return table

    return read


def _has_semicolons(source: Path | IO[str]) -> bool:
    """Whether the header has semicolons and no comma: spreadsheets write so where the comma is in numbers."""
    header = next((line for line in _lines(source) if line.strip()), "")
    return ";" in header and "," not in header


def _open_quotation(error: Exception) -> str:
    """Says where a quotation mark has no end; empty if that is not the parser's error."""
    found = re.search(r"EOF inside string starting at row (\d+)", str(error))
    if not found:
        return ""
    place = f"row {int(found[1]):,}" if found[1] != "0" else "the header"
    return f"a quotation mark in {place} has no end"


def _long_row(source: Path | IO[str], separator: str) -> str:
    """Says which is the first row with more cells than the header; empty if there is none."""
    rows = csv.reader(_lines(source), delimiter=separator)
    with contextlib.suppress(csv.Error):  # a cell is longer than the module allows
        header = next(filter(None, rows), [])
        for cells in rows:
            if len(cells) > len(header):
                return (
                    f"line {rows.line_num:,} has {len(cells)} cells, and the header has {len(header)}: put quotation "
                    f"marks around a text with {separator!r}"
                )
    return ""


def _lines(source: Path | IO[str]) -> Iterator[str]:
    """The lines of a file or of a text, from its start. A text is at its start again when they are read."""
    if isinstance(source, Path):
        with source.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            yield from file
        return
    source.seek(0)
    try:
        while line := source.readline():
            yield line
    finally:
        source.seek(0)


def _require_whole_rows(table: "DataFrame") -> None:
    """Refuse a table of tabs with a cell that has tabs or lines in it.

    Raises:
        ValueError: there is one.
    """
    for number, cells in enumerate(table.itertuples(index=False), start=1):
        if any("\t" in cell or "\n" in cell for cell in cells):
            raise ValueError(f"row {number:,} goes over several lines or cells: a quotation mark in it has no end")


def _read_json_lines(source: Path | IO[str]) -> "DataFrame":
    import pandas

    try:
        return pandas.read_json(source, lines=True, dtype=False, encoding="utf-8-sig")
    except ValueError as error:  # it names no line
        raise ValueError(_torn_line(source) or error) from error


def _torn_line(source: Path | IO[str]) -> str:
    """Says which is the first line that is no JSON object; empty if there is none."""
    for number, line in enumerate(_lines(source), start=1):
        try:
            if line.strip() and not isinstance(json.loads(line), dict):
                return f"line {number:,} is no JSON object"
        except (ValueError, RecursionError) as error:
            return f"line {number:,} is no JSON object: {error}"
    return ""


def _read_parquet(path: Path) -> "DataFrame":
    import pandas
    import pyarrow

    try:
        return pandas.read_parquet(path, engine="pyarrow")
    except pyarrow.ArrowException as error:  # some are a RuntimeError or a MemoryError
        raise ValueError(one_line(error)) from error


# To add a kind of table, write its function and an entry.
READERS: dict[str, Callable[[Any], "DataFrame"]] = {
    ".csv": _read_text(","),
    ".tsv": _read_text("\t"),
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
BINARY = (".parquet",)  # kinds that are no text


def is_table(path: Path) -> bool:
    """Whether a source is a table, by its ending."""
    return path.suffix.lower() in READERS and not path.is_dir()


def read_table(path: Path, text: str | None = None) -> "DataFrame":
    """The table in a file.

    Args:
        path: a file with the ending of a key of `READERS`.
        text: its content, if it is decoded already.

    Raises:
        DataError: it is damaged, or no such table.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: not a plain file")
        return READERS[path.suffix.lower()](path if text is None else io.StringIO(text))
    except (ValueError, OSError, TypeError, KeyError, ArithmeticError, Warning) as error:
        raise DataError(f"{path}: not a {path.suffix.lower()} table: {one_line(error)}") from error


def columns_of(table: "DataFrame", names: Names) -> dict[str, Any]:
    """The table's own name of each known column that it has, whatever the letter case."""
    own = {str(name).strip().lower(): name for name in table.columns}
    found = {
        column: [own[spelling.lower()] for spelling in spellings if spelling.lower() in own]
        for column, spellings in names.items()
    }
    return {column: spelled[0] for column, spelled in found.items() if spelled}


def require_columns(
    table: "DataFrame", path: Path, names: Names, required: Sequence[str], *, kind: str, parameters: Mapping[str, str]
) -> None:
    """Refuse a table that lacks a column.

    Args:
        table: the table, or its header.
        path: its file, for errors.
        names: the columns.
        required: those that must be there.
        kind: what a row is, in the plural, for errors.
        parameters: those that name a column, for errors.

    Raises:
        DataError: a column is absent.
    """
    found = columns_of(table, names)
    for column in required:
        if column not in found:
            spellings = names[column]
            named = f": set {parameters[column]} to one of them" if column in parameters else ""
            raise DataError(
                f"{path}: no column {spellings[0]}{_others(spellings)}; its columns are: {shown_columns(table)}{named}"
                f". Rename the file if it is no table of {kind}"
            )


def shown_columns(table: "DataFrame") -> str:
    """The names of the first columns of a table, for errors."""
    return ", ".join(str(name)[:50] for name in list(table.columns)[:20])


def rows_of(
    table: "DataFrame",
    path: Path,
    names: Names,
    *,
    required: Sequence[str],
    kind: str,
    remedy: str,
    parameters: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The cells of each row as text, by the keys of `names`; empty where the table has no such column.

    Args:
        table: the table.
        path: its file, for errors.
        names: the columns.
        required: those that must be there.
        kind: what a row is, in the plural, for errors.
        remedy: what to do with a cell that is no text, for errors.
        parameters: those that name a column, for errors.

    Raises:
        DataError: a column or all rows are absent, or a cell is no text.
    """
    require_columns(table, path, names, required, kind=kind, parameters=parameters or {})
    found, columns = columns_of(table, names), {}
    for column in names:
        cells = columns[column] = []
        try:
            for value in table[found[column]] if column in found else [""] * len(table):
                cells.append(_text(value, f"{path}, row {len(cells) + 1:,}: the {column}", remedy))
        except UnicodeDecodeError as error:  # the texts of a Parquet file are decoded here, one by one
            raise DataError(f"{path}, row {len(cells) + 1:,}: the {column} is not UTF-8: write it in UTF-8") from error
    if not len(table):
        raise DataError(f"{path}: no rows")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _others(spellings: Sequence[str]) -> str:
    return f" (or {', '.join(spellings[1:])})" if len(spellings) > 1 else ""


def _text(value: Any, what: str, remedy: str) -> str:
    """A cell as text. A whole number in a column with gaps is read as a float."""
    import pandas

    if value is None or value is pandas.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, str | numbers.Number | np.bool_):
        raise DataError(f"{what} is a {type(value).__name__}, not text: {remedy}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
