"""Pretrained vectors of words."""

import gzip
import lzma
import zipfile

import numpy as np
import pytest

from cct.data.arrays import DataError
from cct.data.texts.vectors import read_vectors, vectors_width

GLOVE = "the 0.5 -1 2\nto be 9 9 9\n, 1e-1 0 3.25\nkatze 1 2 3\nthe 7 7 7\n"
VOCABULARY = ["the", "moon", ",", "to be"]


def written(path, content: bytes):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".xz":
        path.write_bytes(lzma.compress(content))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("glove.txt", content)
    else:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["g.txt", "g.txt.gz", "g.txt.xz", "g.zip"])
@pytest.mark.parametrize("header", ["", "5 3\n"], ids=["glove", "word2vec"])
def test_the_vectors_of_a_vocabulary(name, header, tmp_path):
    """The first of two counts, and words may have spaces, as in GloVe 840B."""
    path = written(tmp_path / name, (header + GLOVE).encode())
    assert vectors_width(path) == 3
    found = read_vectors(path, VOCABULARY)
    assert found.words == VOCABULARY and found.missing == 1 and found.vectors_vd.dtype == np.float32
    np.testing.assert_allclose(found.vectors_vd, [[0.5, -1, 2], [np.nan] * 3, [0.1, 0, 3.25], [9, 9, 9]])


def test_the_first_words_that_no_text_has_come_behind(tmp_path):
    """Those with capitals or signs inside cannot come out of a text."""
    path = written(tmp_path / "g.txt", GLOVE.encode() + b"The 8 8 8\no.k 8 8 8\nhund 4 5 6\nmaus 7 8 9\n")
    for extra, words in ((0, []), (1, ["katze"]), (2, ["katze", "hund"]), (9, ["katze", "hund", "maus"])):
        found = read_vectors(path, VOCABULARY, extra=extra)
        assert found.words == VOCABULARY + words and len(found.vectors_vd) == 4 + len(words)
        assert found.vectors_vd[4:].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]][: len(words)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: expected a word and its numbers, as GloVe's files have them"),
        (b"the moon is far\n", "line 1: expected a word and its numbers"),
        (b"5 0\nthe\n", "line 1: the header says that vectors have 0 dimensions, and 1 to 524,288 are possible"),
        (b"5 524289\nthe 1\n", "line 1: the header says that vectors have 524289 dimensions, and 1 to 524,288"),
        (b"5 " + b"9" * 5000 + b"\nthe 1\n", f"that vectors have {'9' * 40} dimensions, .*: correct or remove this"),
        (b"9" * 5000 + b" 2\nthe 1\n", "line 2: expected a word and 2 numbers"),
        (b"a 1 2\nthe 1 x\n", r"line 2: expected a word and 2 numbers, found 'the 1 x\\n'"),
        (b"a 1 2\nthe 1\n", "line 2: expected a word and 2 numbers"),
        (b"a 1 2\nthe 1 nan\n", "line 2: expected a word and 2 numbers"),
        (b"a 1 2\n" + b"x" * (1 << 20), "line 2: longer than a word and its vector can be"),
    ],
)
def test_a_wrong_line_is_named(content, said, tmp_path):
    with pytest.raises(DataError, match=said):
        read_vectors(written(tmp_path / "g.txt", content), VOCABULARY)


@pytest.mark.parametrize("name", ["g.gz", "g.xz", "g.zip"])
def test_damaged_files_are_refused_in_words(name, tmp_path):
    path = written(tmp_path / name, GLOVE.encode() * 1000)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"no archive at all"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged, or not packed as its ending says"):
            read_vectors(path, VOCABULARY)


def test_an_archive_of_several_files_and_no_file_are_refused(tmp_path):
    path = written(tmp_path / "g.zip", GLOVE.encode())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("glove.200d.txt", GLOVE)
    with pytest.raises(DataError, match=r"g\.zip: has 2 files \(glove\.txt, glove\.200d\.txt\), not one: unpack"):
        read_vectors(path, VOCABULARY)
    with pytest.raises(DataError, match="there is no such file"):
        vectors_width(tmp_path / "none.txt")
