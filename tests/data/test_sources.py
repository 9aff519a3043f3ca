"""Descriptors of data sources."""

import hashlib

import pytest
from clones import ROOT
from sources import DIGITS

from cct.data.arrays import DataError
from cct.data.sources import read_source
from cct.errors import CCTError
from cct.params import ParamsError


def test_errors_are_the_users():
    assert issubclass(DataError, CCTError)


@pytest.mark.parametrize("path", sorted((ROOT / "data/sources").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_committed_descriptors_are_read(path):
    read = read_source(path)
    assert read.name == path.stem


def test_the_digits_descriptor_is_of_the_package():
    read = read_source(ROOT / "data/sources/digits.yaml")
    content = DIGITS.read_bytes()
    assert (read.size, read.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("sha256", "'ABC'", "sha256 = 'ABC': must match pattern '^[0-9a-f]{64}$' (64 hexadecimal digits)"),
        ("sha256", f"'{'0' * 64}\n\n'", "sha256 = '000"),
        ("sha256", "7", "sha256 = 7: must be a string"),
        ("classes", "[a, b, a, c, c]", "classes = ['a', 'b', 'a', 'c', 'c']: class names must differ, but "),
        ("classes", "[a]", "classes = ['a']: must have at least 2 items, not 1"),
        ("classes", "[a, '']", "classes = ['a', '']: class names must be printable text without spaces around it, "),
        ("classes", "[a, ' b']", "classes = ['a', ' b']: class names must be printable text without spaces around "),
        ("classes", '[a, "b\\tc"]', r"classes = ['a', 'b\tc']: class names must be printable text without spaces "),
        ("classes", "[a, 1]", "classes.1 = 1: must be a string"),
        ("classes", "ab", "classes = 'ab': must be a list"),
        ("format", "cifar10-python", "format = 'cifar10-python': must be 'cifar10-binary', "),
        ("file", "../evil", "file = '../evil': must match pattern "),
        ("file", "a/b", "file = 'a/b': must match pattern "),
        ("file", "/etc/passwd", "file = '/etc/passwd': must match pattern "),
        ("file", "..", "file = '..': must match pattern "),
        ("file", "'a\\b'", r"file = 'a\\b': must match pattern "),
        ("size", "0", "size = 0: must be greater than 0"),
        ("size", "1.0", "size = 1.0: must be an integer"),
        ("urls", "[]", "urls = []: must have at least 1 item, not 0"),
        (
            "name",
            "a b",
            "name = 'a b': must match pattern '^[A-Za-z0-9._-]+$' (short name of the data set: letters, digits, . _ -)",
        ),
        ("hash", "x", "hash = 'x': unknown name; valid: name, format, classes, file, size, sha256, urls"),
        ("class", "x", "class = 'x': unknown name; did you mean classes?"),
    ],
)
def test_descriptor_mistakes(field, value, line, tmp_path):
    good = {
        "name": "n",
        "format": "cifar10-binary",
        "classes": "[a, b]",
        "file": "f",
        "size": "1",
        "sha256": "0" * 64,
        "urls": "[f]",
    }
    good["sha256"] = f"'{good['sha256']}'"
    path = tmp_path / "source.yaml"
    path.write_text("".join(f"{key}: {text}\n" for key, text in good.items()))
    assert read_source(path).classes == ["a", "b"]
    path.write_text("".join(f"{key}: {text}\n" for key, text in (good | {field: value}).items()))
    with pytest.raises(ParamsError) as caught:
        read_source(path)
    head, found = str(caught.value).split("\n  ")
    assert head == f"{path} has 1 mistake:"
    assert found.startswith(line)
