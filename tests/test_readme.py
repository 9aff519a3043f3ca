"""The README names what there is, and what it names is there."""

import importlib
import re

import pytest
from clones import ROOT

from cct.data.sources import read_source
from cct.params import SECTIONS

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("section", "target"), SECTIONS.items())
def test_every_parameter_is_explained(section, target):
    module, _, name = target.partition(":")
    fields = getattr(importlib.import_module(module), name).model_fields
    explained = set(re.findall(rf"^\|.*?`{section}\.(\w+)`|`{section}\.(\w+)`", README, flags=re.MULTILINE))
    assert set(fields) <= {name for pair in explained for name in pair}


def test_every_make_target_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|[$] )make ([a-z-]+)", README)) <= targets


def test_every_path_is_there():
    for path in re.findall(r"`((?:src|tests|presets|data/sources|docs|\.ci|\.github)/[\w./-]*)`", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\((?!http)([^)]*)\)", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", sorted((ROOT / "data/sources").glob("*.yaml")), ids=lambda path: path.name)
def test_the_descriptors_are_valid(path):
    source = read_source(path)
    assert len(source.classes) == {"digits-csv": 10, "cifar10-binary": 10, "cifar100-binary": 100}[source.format]
