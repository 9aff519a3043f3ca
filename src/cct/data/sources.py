"""Data sources: their descriptors, and the arrays that they deliver."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from cct.data.arrays import Arrays, DataError
from cct.data.formats.registry import FORMATS
from cct.params import Section, parse, read_yaml


class DataParams(Section):
    """Which data set is used."""

    source: str = Field(
        min_length=1,
        max_length=1000,
        description="path of a descriptor, such as data/sources/cifar10.yaml, fashion_mnist.yaml or your own",
    )


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SourceFile(Section):
    """One file of a data set, and the places where it is found."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the file on disk, without a folder")
    size: int = Field(gt=0, description="bytes of the file, unpacked where an address has it as .gz")
    sha256: Sha256 = Field(description="64 hexadecimal digits")
    urls: list[str] = Field(
        min_length=1, description="http(s)://, file:// or package: addresses or paths, tried in this order"
    )


class Source(Section):
    """A descriptor: the name, the format and the classes of a data set, and its files."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="short name of the data set: letters, digits, . _ -")
    format: Literal[*FORMATS] = Field(description="format of the files")
    classes: list[str] = Field(min_length=2, description="class names in the order of their labels")
    files: dict[str, SourceFile] = Field(description="each file that the format needs, by its role")

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str]) -> list[str]:
        unfit = [name for name in classes if not name or name != name.strip() or not name.isprintable()]
        if unfit:
            raise ValueError(
                f"class names must be printable text without spaces around it, but these are not: "
                f"{', '.join(map(ascii, unfit[:5]))}"
            )
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


def read_arrays(source: Source, folder: Path) -> Arrays:
    """Read the verified files of a source.

    Args:
        source: the descriptor.
        folder: the folder with its files.

    Raises:
        DataError: a file is absent, or its content is not of the format that the descriptor names.
    """
    paths = {role: folder / one.file for role, one in source.files.items()}
    for path in paths.values():
        if not path.is_file():
            raise DataError(f"{path} is not there: run dvc repro download")
    return FORMATS[source.format].read(paths, len(source.classes))
