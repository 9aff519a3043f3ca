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
    assert read_source(path).name.replace("-", "_") == path.stem


def test_the_digits_descriptor_is_of_the_package():
    read = read_source(ROOT / "data/sources/digits.yaml").files["table"]
    content = DIGITS.read_bytes()
    assert (read.size, read.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        (
            "sha256",
            "'ABC'",
            "files.archive.sha256 = 'ABC': must be 64 hexadecimal digits, 0 to 9 and a to f",
        ),
        ("sha256", f"'{'0' * 64}\n\n'", "files.archive.sha256 = '000"),
        ("sha256", "7", "files.archive.sha256 = 7: must be a string"),
        ("classes", "[a, b, a, c, c]", "classes = ['a', 'b', 'a', 'c', 'c']: class names must differ, but "),
        ("classes", "[a]", "classes = ['a']: must have at least 2 items, not 1"),
        ("classes", "[a, '']", "classes = ['a', '']: class names must be printable text without spaces around it, "),
        ("classes", "[a, ' b']", "classes = ['a', ' b']: class names must be printable text without spaces around "),
        ("classes", '[a, "b\\tc"]', r"classes = ['a', 'b\tc']: class names must be printable text without spaces "),
        ("classes", "[a, 1]", "classes.1 = 1: must be a string"),
        ("classes", "ab", "classes = 'ab': must be a list"),
        ("format", "cifar10-python", "format = 'cifar10-python': must be 'cifar10-binary', "),
        ("file", "../evil", "files.archive.file = '../evil': must be a name without a folder, "),
        ("file", "a/b", "files.archive.file = 'a/b': must be a name without a folder, "),
        ("file", "/etc/passwd", "files.archive.file = '/etc/passwd': must be a name without a folder, "),
        ("file", "..", "files.archive.file = '..': must be a name without a folder, "),
        ("file", "'a\\b'", r"files.archive.file = 'a\\b': must be a name without a folder, "),
        ("size", "0", "files.archive.size = 0: must be greater than 0"),
        ("size", "1.0", "files.archive.size = 1.0: must be an integer"),
        ("urls", "[]", "files.archive.urls = []: must have at least 1 item, not 0"),
        ("name", "a b", "name = 'a b': must be of letters, digits, . _ -"),
        ("hash", "x", "hash = 'x': unknown name; valid: name, format, classes, files"),
        ("class", "x", "class = 'x': unknown name; did you mean classes?"),
        ("files", "{}", "files: the format cifar10-binary needs exactly these files: archive"),
        ("files", "[f]", "files = ['f']: must be a dictionary"),
        ("files", "{archive: f}", "files.archive = 'f': must be a dictionary"),
        ("files", "{archive: {sise: 1}}", "files.archive.sise = 1: unknown name; did you mean files.archive.size?"),
        ("format", "idx", "files: the format idx needs exactly these files: train_images, train_labels, test_images, "),
    ],
)
def test_descriptor_mistakes(field, value, line, tmp_path):
    good = {"name": "n", "format": "cifar10-binary", "classes": "[a, b]"}
    good_file = {"file": "f", "size": "1", "sha256": f"'{'0' * 64}'", "urls": "[f]"}
    path = tmp_path / "source.yaml"

    def write(changes: dict[str, str], of_file: dict[str, str]) -> None:
        file = "".join(f"\n    {key}: {text}" for key, text in (good_file | of_file).items())
        content = good | {"files": f"\n  archive:{file}"} | changes
        path.write_text("".join(f"{key}: {text}\n" for key, text in content.items()))

    write({}, {})
    assert read_source(path).classes == ["a", "b"]
    write(*(({}, {field: value}) if field in good_file else ({field: value}, {})))
    with pytest.raises(ParamsError) as caught:
        read_source(path)
    _, *found = str(caught.value).split("\n  ")
    assert any(one.startswith(line) for one in found), found
    assert len(found) == (5 if "sise" in value else 1)  # four keys are missing
