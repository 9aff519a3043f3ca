"""The encodings of text files. Errors name the line."""

import codecs
from pathlib import Path

from cct.data.arrays import DataError
from cct.data.plain_files import FileError, read_plain_file

AUTO = "auto"
MAX_WHOLE_BYTES = 4 << 30  # of a table or another file of many texts, all of which are in memory at once
# A file that begins with such a mark says its own encoding. UTF-32's begins as UTF-16's.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What to do with a file that is no UTF-8: where preprocess reads it, and where a trained model does.
AS_PARAMETER = "set preprocess.encoding to the encoding of the file, such as latin-1, or save it as UTF-8"
AS_UTF8 = "save it as UTF-8"


def decode(
    content: bytes, where: object, *, encoding: str = AUTO, default: str = "utf-8", remedy: str = AS_PARAMETER
) -> str:
    """The text of a file, without a byte order mark.

    Args:
        content: the bytes of the file.
        where: the file, for errors.
        encoding: its encoding, or "auto" for its byte order mark's, otherwise `default`.
        default: the encoding of the format.
        remedy: what to do about other bytes, for errors.

    Raises:
        DataError: bytes are not of the encoding; the message names their line.
    """
    name = encoding
    if encoding == AUTO:
        name = next((found for mark, found in MARKS.items() if content.startswith(mark)), default)
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{where}, line {line:,}: the byte {content[error.start]:#04x} is not {name}: {remedy}"
        ) from error
    except UnicodeError as error:  # an encoding such as "undefined"
        raise DataError(f"{where}: is not {name} ({error}): {remedy}") from error


def read_whole(path: Path) -> bytes:
    """The bytes of a file of many texts.

    Raises:
        DataError: it is no plain file, too large, or cannot be read.
    """
    try:
        return read_plain_file(path, most=MAX_WHOLE_BYTES)
    except FileError as error:
        raise DataError(f"{path}: {error}: mend it, or give another file") from error


def decode_file(path: Path, **options: str) -> str:
    """The text of a file.

    Args:
        path: the file.
        options: those of `decode`.

    Raises:
        DataError: as `read_whole` or `decode`.
    """
    return decode(read_whole(path), path, **options)
