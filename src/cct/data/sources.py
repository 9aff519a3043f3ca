"""Data sources: descriptors, local folders and files, and the arrays that they deliver."""

import re
import unicodedata
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from cct.data.arrays import Arrays, DataError, unfit_class_names
from cct.data.formats.registry import FORMATS
from cct.data.params import is_descriptor
from cct.params import Section, in_words, parse, read_yaml


class SourceFile(Section):
    """One file of a data set, and the places where it is found."""

    file: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the file on disk, without a folder",
        json_schema_extra=in_words("a name without a folder, of letters, digits, . _ -"),
    )
    size: int = Field(gt=0, description="bytes of the file, unpacked where an address has it as .gz")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="checksum of the file",
        json_schema_extra=in_words("64 hexadecimal digits, 0 to 9 and a to f"),
    )
    urls: list[str] = Field(
        min_length=1, description="http(s)://, file:// or package: addresses or paths, tried in this order"
    )


class Source(Section):
    """A descriptor: the name, the format and the classes of a data set, and its files."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]+$",
        description="short name of the data set",
        json_schema_extra=in_words("of letters, digits, . _ -"),
    )
    format: Literal[*FORMATS] = Field(description="format of the files")
    classes: list[str] = Field(min_length=2, description="class names in the order of their labels")
    files: dict[str, SourceFile] = Field(description="each file that the format needs, by its role")

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str]) -> list[str]:
        classes = [unicodedata.normalize("NFC", name) for name in classes]
        if unfit := unfit_class_names(classes):
            raise ValueError(unfit)
        duplicates = sorted({name for name in classes if classes.count(name) > 1})
        if duplicates:
            raise ValueError(f"class names must differ, but these are duplicates: {', '.join(duplicates)}")
        return classes

    @field_validator("files")
    @classmethod
    def _as_the_format_needs(cls, files: dict[str, SourceFile], info: ValidationInfo) -> dict[str, SourceFile]:
        needed = FORMATS[info.data["format"]].files if "format" in info.data else tuple(files)
        if set(files) != set(needed):
            raise ValueError(f"the format {info.data['format']} needs exactly these files: {', '.join(needed)}")
        names = [one.file for one in files.values()]
        if len(set(names)) < len(names):
            raise ValueError("two files have the same name on disk (file)")
        return files


def read_source(path: Path) -> Source:
    """Read and check a descriptor.

    Raises:
        ParamsError: the file is absent or has mistakes.
    """
    return parse(Source, read_yaml(path), where=path)


class LocalSource(NamedTuple):
    """A folder, an archive or a table of images or texts, which is read where it is."""

    path: Path
    name: str


def open_source(path: Path) -> Source | LocalSource:
    """Read the descriptor that `data.source` names, or find a folder or file there.

    Raises:
        ParamsError: a descriptor is absent or has mistakes.
        DataError: there is nothing at the path.
    """
    if is_descriptor(path.name):
        return read_source(path)
    if not path.exists():
        if path.is_absolute():
            raise DataError(f"data.source = {str(path)!r}: there is no such file or folder")
        raise DataError(
            f"data.source = {str(path)!r}: there is no such file or folder here ({Path.cwd()}). Experiments in a "
            "temporary folder (--temp, --queue) see files in git or DVC only: run dvc add, or give the absolute path"
        )
    return LocalSource(path, _data_set_name(path))


def _data_set_name(path: Path) -> str:
    """The name of a folder or file in the characters that names of data sets may have."""
    stem = re.sub(r"(\.tar)?\.[A-Za-z0-9]+$", "", path.name) if path.is_file() else path.absolute().resolve().name
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.") or "data"


def read_arrays(source: Source, folder: Path) -> Arrays:
    """Read the verified files of a source.

    Args:
        source: the descriptor.
        folder: the folder with its files.

    Raises:
        DataError: a file is absent, or its content is not of the format that the descriptor names.
    """
    return FORMATS[source.format].read(source_files(source, folder), len(source.classes))


def source_files(source: Source, folder: Path) -> dict[str, Path]:
    """The paths of the files of a source by their roles.

    Raises:
        DataError: a file is absent.
    """
    paths = {role: folder / one.file for role, one in source.files.items()}
    for path in paths.values():
        if not path.is_file():
            raise DataError(f"{path} is not there: run dvc repro download")
    return paths
