"""The data formats by name. To add one, write a module with its reader and an entry in `FORMATS`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cct.data.arrays import Arrays
from cct.data.formats.cifar import read_cifar10, read_cifar100
from cct.data.formats.digits import read_digits


class Format(NamedTuple):
    """The reader of a data source's file, and the task of its examples.

    Attributes:
        read: turns the file and the number of classes into arrays; raises DataError if the file is damaged.
        task: a key of the tables in `cct.tasks`.
    """

    read: Callable[[Path, int], Arrays]
    task: str


FORMATS = {
    "cifar10-binary": Format(read_cifar10, "image_classification"),
    "cifar100-binary": Format(read_cifar100, "image_classification"),
    "digits-csv": Format(read_digits, "image_classification"),
}
