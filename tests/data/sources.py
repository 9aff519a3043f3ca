"""Descriptors and refusals for the tests of the formats."""

import importlib.util
from pathlib import Path

import pytest

from cct.data.arrays import DataError
from cct.data.sources import Source, read_arrays

DIGITS = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0], "datasets/data/digits.csv.gz")


def source(form: str = "cifar10-binary", classes: int = 10) -> Source:
    names = [f"class{i}" for i in range(classes)]
    return Source(name="small", format=form, classes=names, file="f", size=1, sha256="0" * 64, urls=["f"])


def refusal(path: Path, form: str = "cifar10-binary", classes: int = 10) -> str:
    with pytest.raises(DataError) as caught:
        read_arrays(source(form, classes), path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")
