"""Descriptors and refusals for the tests of the formats."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from clones import DEFAULTS

from cct import params
from cct.data.arrays import Arrays, DataError
from cct.data.formats.registry import FORMATS
from cct.data.params import PreprocessParams
from cct.data.sources import Source, SourceFile, read_arrays

DIGITS = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0], "datasets/data/digits.csv.gz")


def preprocess_params(**changes: Any) -> PreprocessParams:
    """The section `preprocess` of the tests' parameters, with changes."""
    values = params.load(DEFAULTS, "preprocess").model_dump() | changes
    return PreprocessParams(**values)


def source(path: Path, form: str = "cifar10-binary", classes: int = 10) -> Source:
    """The descriptor of a data set of one file."""
    names, (role,) = [f"class{i}" for i in range(classes)], FORMATS[form].files
    file = SourceFile(file=path.name, size=1, sha256="0" * 64, urls=["f"])
    return Source(name="small", format=form, classes=names, files={role: file})


def read(path: Path, form: str = "cifar10-binary", classes: int = 10) -> Arrays:
    return read_arrays(source(path, form, classes), path.parent)


def refusal(path: Path, form: str = "cifar10-binary", classes: int = 10) -> str:
    with pytest.raises(DataError) as caught:
        read(path, form, classes)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")
