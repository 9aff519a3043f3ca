"""Texts that a user names are read when their turn comes. No model is needed."""

import os
import tarfile
import zipfile

import pytest

from cct.data.texts.formats import MAX_TEXT_BYTES
from cct.errors import CCTError
from cct.tasks.text_classification import named
from cct.tasks.text_classification.inference import TextReader
from cct.tasks.text_classification.named import named_texts


@pytest.fixture
def reader(tmp_path):
    facts = {"tokens": "words", "max_length": 4, "truncation": "end", "vocabulary": ["good", "bad"]}
    return TextReader(facts, tmp_path / "model.keras")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / f"texts/{name}.txt").write_text(f"good {name}")
    return tmp_path / "texts"


def pack(folder, kind):
    """The folder in this kind of container."""
    if kind == "zip":
        with zipfile.ZipFile("texts.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        return "texts.zip"
    if kind == "tar":
        with tarfile.open("texts.tar", "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
        return "texts.tar"
    return "texts"


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_texts_are_counted_before_they_are_read(kind, folder, reader, monkeypatch):
    """The second file is damaged when the first one has been read."""
    (folder / "b.txt").write_text("bad " * 100_000)  # more than a reader has ahead
    monkeypatch.setattr(named, "CHUNK", 1)
    source = pack(folder, kind)
    found = named_texts([source, "very bad"], reader)
    assert (found.count, found.unit) == (4, "texts")
    first = next(found.chunks)
    assert (first.names, first.shown, first.errors) == ([f"{source}/a.txt"], ["good a"], {})
    if kind == "folder":
        (folder / "b.txt").unlink()
        assert next(found.chunks).errors == {0: "absent"}
    else:
        with open(source, "r+b") as archive:
            content = archive.read()
            archive.seek(content.rindex(b"bad bad"))
            archive.write(b"\xff")
        said = next(found.chunks).errors[0]
        assert said.startswith(
            "damaged in the archive: Bad CRC-32" if kind == "zip" else "line 1: the byte 0xff is not"
        )
    last, text = found.chunks
    assert last.shown == ["good c"] and text.shown == ["very bad"]
    assert [found.is_path(name) for chunk in (first, last, text) for name in chunk.names] == [True, True, False]


@pytest.mark.parametrize(
    ("texts", "characters", "sizes"), [(2, 99, [2, 1]), (9, 12, [2, 1]), (9, 13, [3]), (9, 1, [1] * 3)]
)
def test_a_chunk_has_so_many_texts_and_characters(texts, characters, sizes, folder, reader, monkeypatch):
    """Each of the texts has six characters."""
    monkeypatch.setattr(named, "CHUNK", texts)
    monkeypatch.setattr(named, "CHUNK_CHARACTERS", characters)
    chunks = list(named_texts(["texts"], reader).chunks)
    assert [len(chunk.names) for chunk in chunks] == [len(chunk.arrays) for chunk in chunks] == sizes


def test_files_that_are_not_plain_are_rows_with_their_reason(folder, reader):
    os.mkfifo(folder / "d.txt")
    (folder / "e.txt").symlink_to("nothing")
    (folder / "f.txt").symlink_to("/dev/zero")
    (folder / "g.txt").touch()
    os.truncate(folder / "g.txt", MAX_TEXT_BYTES + 1)  # with no block on the disk
    reasons = ["not a plain file", "a broken link", "not a plain file", "67,108,865 bytes, more than 67,108,864"]
    for names in (["texts"], ["texts/*.txt"], [f"texts/{name}.txt" for name in "abcdefg"]):
        (chunk,) = named_texts(names, reader).chunks
        assert chunk.errors == dict(enumerate(reasons, start=3)) and len(chunk.arrays) == 3
        assert chunk.names == [f"texts/{name}.txt" for name in "abcdefg"]


def test_a_pipe_of_rows_is_refused(folder, reader):
    os.mkfifo("rows.csv")
    with pytest.raises(CCTError, match=r"rows\.csv: not a plain file: mend it, or give another file"):
        named_texts(["good", "rows.csv"], reader)


def test_a_path_that_has_no_end_is_refused(reader, tmp_path):
    os.mkfifo(path := tmp_path / "a.txt")
    with pytest.raises(CCTError, match=f"^{path}: not a plain file$"):
        reader.arrays([path])
