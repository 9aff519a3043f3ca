"""The data formats by name. To add one, write a module with its reader and an entry in `FORMATS`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cct.data.arrays import Arrays
from cct.data.formats.cifar import read_cifar10, read_cifar100, read_cifar100_coarse
from cct.data.formats.digits import read_digits
from cct.data.formats.idx import FILES, read_idx


class Format(NamedTuple):
    """How the files of a data source are read, and the task of its examples.

    Attributes:
        read: maps the files by their roles, and the number of classes, to arrays; raises DataError where a file is
            damaged. None: a file is an archive of image files, which `cct.data.images` reads, or has texts, which
            `cct.data.texts` reads.
        task: a key of the tables in `cct.tasks`.
        files: the roles of all files that the format needs.
    """

    read: Callable[[Mapping[str, Path], int], Arrays] | None
    task: str
    files: tuple[str, ...]


FORMATS = {
    "cifar10-binary": Format(read_cifar10, "image_classification", ("archive",)),
    "cifar100-binary": Format(read_cifar100, "image_classification", ("archive",)),
    "cifar100-binary-coarse": Format(read_cifar100_coarse, "image_classification", ("archive",)),
    "digits-csv": Format(read_digits, "image_classification", ("table",)),
    "images": Format(None, "image_classification", ("archive",)),
    "idx": Format(read_idx, "image_classification", FILES),
    "text-table": Format(None, "text_classification", ("table",)),
    "text-folders": Format(None, "text_classification", ("archive",)),
    "trec": Format(None, "text_classification", ("train", "test")),
    "trec-fine": Format(None, "text_classification", ("train", "test")),
    "ag-news-csv": Format(None, "text_classification", ("train", "test")),
    "ag-news-archive": Format(None, "text_classification", ("archive",)),
    "sst2": Format(None, "text_classification", ("archive",)),
}
