"""Tables of paths and labels."""

import json
import unicodedata

import pandas
import pytest
from image_files import write_files

from cct.data.images.manifest import manifest_in, read_manifest

ROWS = [
    {"path": "b/2.png", "label": "Äpfel", "split": "train", "group": "7"},
    {"path": "a/1.png", "label": "01", "split": "Test", "group": ""},
    {"path": "/elsewhere/3.png", "label": "NA", "split": "", "group": "8"},
]


def write(path, rows):
    table = pandas.DataFrame(rows)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_kind_of_table_gives_the_same(suffix, tmp_path):
    """Labels stay text: neither a number nor an absent value becomes of "01" and "NA"."""
    found = read_manifest(write(tmp_path / f"labels{suffix}", ROWS))
    assert [tuple(item) for item in found.items] == [
        ("b/2.png", "Äpfel", "train", "7"),
        ("a/1.png", "01", "test", None),
        ("/elsewhere/3.png", "NA", None, "8"),
    ]
    assert found.classes == ["01", "NA", "Äpfel"]


@pytest.mark.parametrize(("text", "split"), [("train set", "train"), ("Val-Set", "val"), ("TEST_SET", "test")])
def test_splits_have_the_spellings_of_folders(text, split, tmp_path):
    rows = [{"path": "1.png", "label": "cat", "split": text}]
    assert [item.split for item in read_manifest(write(tmp_path / "labels.csv", rows)).items] == [split]


def test_numbers_are_labels(tmp_path):
    """Also where an absent value has made floats of them."""
    for suffix in (".jsonl", ".parquet"):
        rows = [{"image": "1.png", "class": 3, "group": 1}, {"image": "2.png", "class": 11, "group": None}]
        found = read_manifest(write(tmp_path / f"labels{suffix}", rows))
        assert found.classes == ["11", "3"] and [item.group for item in found.items] == ["1", None]


@pytest.mark.parametrize(
    "columns", [("file_name", "label"), ("Filename", "Class"), (" image_path ", "TARGET"), ("file", "category")]
)
def test_columns_of_other_tools(columns, tmp_path):
    found = read_manifest(write(tmp_path / "labels.csv", [dict(zip(columns, ("1.png", "cat"), strict=True))]))
    assert [tuple(item)[:2] for item in found.items] == [("1.png", "cat")]


def test_a_table_of_a_spreadsheet(tmp_path):
    """With a byte order mark, semicolon-free, quoted, with Windows line ends."""
    path = tmp_path / "labels.csv"
    path.write_bytes('\ufeffpath,label\r\n"a, b.png","big ""cat"""\r\n'.encode())
    assert [tuple(item)[:2] for item in read_manifest(path).items] == [("a, b.png", 'big "cat"')]


def test_two_spellings_of_unicode_are_one_class(tmp_path):
    rows = [{"path": f"{form}.png", "label": unicodedata.normalize(form, "Äpfel")} for form in ("NFC", "NFD")]
    assert len(read_manifest(write(tmp_path / "labels.csv", rows)).classes) == 1


def test_a_table_of_windows(tmp_path):
    found = read_manifest(write(tmp_path / "labels.csv", [{"path": "a\\b\\1.png", "label": "x"}]))
    assert found.items[0].name == "a/b/1.png"


def test_gaps_of_pandas(tmp_path):
    """Its own NA, as convert_dtypes makes it."""
    table = pandas.DataFrame({"path": ["1.png", "2.png"], "label": [1, 2], "split": ["test", None]}).convert_dtypes()
    table.to_parquet(tmp_path / "labels.parquet")
    assert [item.split for item in read_manifest(tmp_path / "labels.parquet").items] == ["test", None]


@pytest.mark.parametrize("name", ["manifest.csv", "metadata.jsonl", "manifest.parquet", "metadata.tsv"])
def test_a_manifest_in_a_folder_is_found(name, tmp_path):
    assert manifest_in(tmp_path) is None
    write_files(tmp_path, {name: b"", "labels.csv": b"", "a/manifest.csv": b""})
    assert manifest_in(tmp_path) == tmp_path / name
