"""The data formats by name."""

from pathlib import Path

from cct.data.arrays import Arrays
from cct.data.formats.cifar import CIFAR, read_cifar
from cct.data.formats.digits import read_digits
from cct.data.sources import DataError, Source


def read_arrays(source: Source, path: Path) -> Arrays:
    """Read the verified file of a source.

    Raises:
        DataError: it is absent, or its content is not of the format that the descriptor names.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there: run dvc repro download")
    if source.format == "digits-csv":
        return read_digits(path, classes=len(source.classes))
    return read_cifar(path, CIFAR[source.format], classes=len(source.classes))
