"""Formats and encodings of texts: what is read, and one sentence that names the line where it is wrong."""

import base64
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pandas
import pyarrow
import pytest
from clones import ROOT
from PIL import Image
from pyarrow import parquet
from sources import preprocess_params

from cct.data.arrays import DataError
from cct.data.formats.registry import FORMATS
from cct.data.kinds import IMAGES, TEXTS, source_task
from cct.data.sources import LocalSource, Source, SourceFile, open_source, read_source
from cct.data.texts.formats import TEXT_READERS
from cct.data.texts.items import Texts
from cct.data.texts.source import read_texts

ROWS = [
    {"text": "Who was it ?", "label": "HUM", "split": "train", "group": "7"},
    {"text": "Wo ist Köln?", "label": "01", "split": "Test", "group": ""},
    {"text": "NA", "label": "HUM", "split": "", "group": ""},
]
TREC = "HUM:ind Who was Galileo ?\nLOC:city Where is Köln ?\n\nHUM:gr Which team won ?\n"
NEWS = '"2","A, title","He said ""so""\\ twice"\n"1","Only a title",""\n'
SHARED = ROOT / "../shared/text/trec"


def local(path: Path, **changes) -> Texts:
    return read_texts(LocalSource(path, "mine"), {}, preprocess_params(**changes))


def write_files(folder: Path, content: dict[str, bytes]) -> Path:
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return folder


def described(form: str, classes: list[str], **paths: Path) -> Texts:
    """The texts of a descriptor's files, which are checked elsewhere."""
    files = {
        role: SourceFile(file=f"{role}{path.suffix}", size=1, sha256="0" * 64, urls=["x"])
        for role, path in paths.items()
    }
    source = Source(name="mine", format=form, classes=classes, files=files)
    return read_texts(source, paths, preprocess_params())


def write(path: Path, rows) -> Path:
    table = pandas.DataFrame(rows)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def quadruples(texts: Texts):
    return [tuple(item) for item in texts.items]


def test_every_format_has_a_reader():
    assert TEXT_READERS.keys() == {name for name, form in FORMATS.items() if form.task == TEXTS}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_kind_of_table_gives_the_same(suffix, tmp_path):
    """Labels stay text."""
    path = write(tmp_path / f"texts{suffix}", ROWS)
    found = local(path)
    assert quadruples(found) == [
        ("Who was it ?", "HUM", "train", "7"),
        ("Wo ist Köln?", "01", "test", None),
        ("NA", "HUM", None, None),
    ]
    assert found.classes == ["01", "HUM"]
    assert source_task(LocalSource(path, "mine"), preprocess_params()) == TEXTS
    assert quadruples(described("text-table", ["HUM", "01"], table=path)) == quadruples(found)


def test_columns_have_names_of_other_tools_or_those_of_the_parameters(tmp_path):
    path = write(tmp_path / "a.csv", [{"Sentence": "a b", "SENTIMENT": 1}, {"Sentence": "c", "SENTIMENT": 0}])
    assert quadruples(local(path)) == [("a b", "1", None, None), ("c", "0", None, None)]
    row = {"frage": "a", "path": "x", "art": 1, "label": 2}
    path = write(tmp_path / "b.csv", [row, row | {"frage": "b", "path": "y", "art": 0}])
    named = {"text_column": "Frage", "label_column": "art"}
    assert [item.text for item in local(path, **named).items] == ["a", "b"]
    assert source_task(LocalSource(path, "b"), preprocess_params(**named)) == TEXTS
    assert source_task(LocalSource(path, "b"), preprocess_params()) == IMAGES
    path = write(tmp_path / "c.csv", [{"file": "x", "label": 1}])
    assert source_task(LocalSource(path, "c"), preprocess_params(**named)) == IMAGES  # left there by another experiment


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_says_the_encoding(encoding, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nWo ist Köln?,a\nHier,b\n".encode(encoding))
    assert local(path).items[0].text == "Wo ist Köln?"
    assert source_task(LocalSource(path, "a"), preprocess_params()) == TEXTS


def test_another_encoding_is_given_and_a_wrong_one_names_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nHier,b\nWo ist Köln?,a\n".encode("latin-1"))
    assert local(path, encoding="latin-1").items[1].text == "Wo ist Köln?"
    with pytest.raises(DataError, match=r"a\.csv, line 3: the byte 0xf6 is not utf-8: set preprocess\.encoding to"):
        local(path)
    with pytest.raises(ValueError, match="no encoding has this name; write auto, utf-8"):
        preprocess_params(encoding="hex")


@pytest.mark.parametrize(
    ("part", "labels"), [(None, ["HUM", "LOC", "HUM"]), ("leaf", ["HUM:ind", "LOC:city", "HUM:gr"])]
)
def test_trec_is_coarse_or_fine(part, labels, tmp_path):
    """Two files; the smaller one is the test split."""
    (tmp_path / "big.label").write_bytes(TREC.encode("latin-1"))
    (tmp_path / "small.label").write_bytes(b"LOC:city Where ?\n")
    found = local(tmp_path, class_folder=part)
    assert [item.label for item in found.items[:3]] == labels and found.items[1].text == "Where is Köln ?"
    assert [item.split for item in found.items] == ["train"] * 3 + ["test"]
    assert source_task(LocalSource(tmp_path, "trec"), preprocess_params()) == TEXTS


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/text is not here")
@pytest.mark.parametrize(("form", "classes"), [("trec", 6), ("trec_fine", 50)])
def test_the_descriptors_of_trec_name_the_classes_of_the_real_files(form, classes):
    source = read_source(ROOT / f"data/sources/{form}.yaml")
    files = {"train": SHARED / "train_5500.label", "test": SHARED / "TREC_10.label"}
    found = read_texts(source, files, preprocess_params())
    assert len(found.items) == 5952 and len(found.classes) == classes
    assert {item.label for item in found.items} == {*found.classes}


def test_ag_news_has_numbers_of_classes_and_joins_its_columns(tmp_path):
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text(NEWS)
    classes = ["World", "Sports"]
    found = described("ag-news-csv", classes, train=tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert quadruples(found)[:2] == [
        ('A, title He said "so"  twice', "Sports", "train", None),
        ("Only a title", "World", "train", None),
    ]
    with tarfile.open(tmp_path / "news.tgz", "w:gz") as archive:
        for name in ("test.csv", "train.csv"):
            archive.add(tmp_path / name, f"dbpedia_csv/{name}")
    assert quadruples(described("ag-news-archive", ["World", "Sports"], archive=tmp_path / "news.tgz")) == quadruples(
        found
    )


def test_sst2_takes_its_dev_split_for_the_test(tmp_path):
    with zipfile.ZipFile(tmp_path / "SST-2.zip", "w") as archive:
        archive.writestr("SST-2/train.tsv", "sentence\tlabel\nhide new secretions \t0\nit 's \"fun \t1\n")
        archive.writestr("SST-2/dev.tsv", "sentence\tlabel\na charming journey . \t1\n")
        archive.writestr("SST-2/test.tsv", "index\tsentence\n0\tunknown\n")
    found = described("sst2", ["negative", "positive"], archive=tmp_path / "SST-2.zip")
    assert quadruples(found) == [
        ("hide new secretions", "negative", "train", None),
        ("it 's \"fun", "positive", "train", None),
        ("a charming journey .", "positive", "test", None),
    ]


FOLDERS = {
    "reviews/train/pos/1.txt": b"good",
    "reviews/train/neg/2.txt": "schlecht ä".encode(),
    "reviews/test/pos/1.txt": b"fine",
    "reviews/README": b"no text",
}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_folders_of_text_files_in_any_container(kind, tmp_path):
    write_files(tmp_path / "a", FOLDERS)
    path = tmp_path / "a"
    if kind == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in FOLDERS.items():
                archive.writestr(name, content)
    elif kind == "tar":
        path = tmp_path / "a.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "a", "a")
    assert source_task(LocalSource(path, "a"), preprocess_params()) == TEXTS
    found = local(path)
    expected = {("good", "pos", "train"), ("schlecht ä", "neg", "train"), ("fine", "pos", "test")}
    assert {tuple(item)[:3] for item in found.items} == expected and found.classes == ["neg", "pos"]


def test_of_a_descriptor_only_the_named_classes_count(tmp_path):
    """As in the archive of IMDb."""
    more = {"reviews/train/unsup/1.txt": b"?", "reviews/train/urls.txt": b"http"}
    write_files(tmp_path / "a", FOLDERS | more)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a/reviews", "reviews")
    found = described("text-folders", ["neg", "pos"], archive=tmp_path / "a.tar.gz")
    assert len(found.items) == 3 and found.ignored == {"files outside of the classes' folders": 3}


def test_a_class_of_a_descriptor_may_have_another_form_of_unicode_in_the_archive(tmp_path):
    """As macOS packs it."""
    write_files(tmp_path / "a", {f"{name}/{n}.txt": b"a text" for name in ("Cafe\u0301", "Tee") for n in range(2)})
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a", "a")
    found = described("text-folders", ["Caf\u00e9", "Tee"], archive=tmp_path / "a.tar.gz")
    assert [item.label for item in found.items] == ["Caf\u00e9"] * 2 + ["Tee"] * 2 and not found.ignored


def test_texts_beside_images_are_notes(tmp_path):
    write_files(tmp_path, {"a/1.txt": b"a note", "b/2.txt": b"a note"})
    assert source_task(LocalSource(tmp_path, "a"), preprocess_params()) == TEXTS
    Image.new("L", (9, 9)).save(tmp_path / "b/2.png")
    assert source_task(LocalSource(tmp_path, "a"), preprocess_params()) == IMAGES


def table(text: str, name: str = "a.csv"):
    def make(path: Path) -> Path:
        (path / name).write_text(text)
        return path / name

    return make


def files(**content: bytes):
    return lambda path: write_files(
        path / "a", {name.replace("__", "/") + ".txt": text for name, text in content.items()}
    )


UNCLEAR = {
    "no texts": ("a.csv", "Art,Satz\nx,a\n", {}, r"no column of texts \(text, .*\) or of paths of images \(path, .*\); "
                 r"its columns are: Art, Satz: set preprocess\.text_column to the one of texts, or call"),
    "no header": ("a.jsonl", '{"0": "a", "1": "x"}\n', {}, r"its columns are: 0, 1: set preprocess\.text_column"),
    "another separator": ("a.csv", "text|label\na|x\n", {}, r"are: text\|label: .* Separate the columns by commas"),
    "no such texts": ("a.csv", "text,label\na,x\n", {"text_column": "Satz"}, r"no column Satz; its columns are: text, "
                      r"label: set preprocess\.text_column to one of them\. Rename the file if it is no table of"),
    "no such labels": ("a.csv", "text,label\na,x\n", {"label_column": "Art"}, r"no column Art; .*: set preprocess"),
    "images without labels": ("a.csv", "path,art\na.png,x\n", {}, r"no column label .*if it is no table of images"),
    "no labels": ("a.tsv", "text\tart\na\tx\n", {}, r"no column label \(or class, .*: set preprocess\.label_col"),
    "a header in cp1252": ("a.csv", "Sätze,Art\na,x\n".encode("cp1252"), {}, r"a\.csv, line 1: the byte 0xe4 is not"),
    "the wrong encoding": ("a.csv", "text,label\nß,x\n".encode(), {"encoding": "ascii"}, r"line 2: the byte 0xc3 is"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNCLEAR)
def test_a_table_of_neither_texts_nor_images_is_refused_with_its_columns(case, tmp_path):
    name, content, changes, said = UNCLEAR[case]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said) as caught:
        source_task(LocalSource(tmp_path / name, "a"), preprocess_params(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_columns_have_names_of_any_letters(encoding, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("Sätze,Größe\nHör zu,x\nGeh,y\n".encode(encoding))
    named = {"text_column": "sätze", "label_column": "größe", "encoding": "auto" if encoding == "utf-8" else encoding}
    assert source_task(LocalSource(path, "a"), preprocess_params(**named)) == TEXTS
    assert quadruples(local(path, **named)) == [("Hör zu", "x", None, None), ("Geh", "y", None, None)]


@pytest.mark.parametrize("header", ["text;label", '\n"text";label', "text;label;"])
def test_semicolons_separate_where_the_header_has_them_and_no_comma(header, tmp_path):
    """As spreadsheets write where numbers have a comma."""
    more = ";" * (header.count(";") - 1)
    path = tmp_path / "a.csv"
    path.write_text(f'{header}\nWell, 1,5 of them;x{more}\n"a; b";y{more}\n')
    assert source_task(LocalSource(path, "a"), preprocess_params()) == TEXTS
    assert quadruples(local(path)) == [("Well, 1,5 of them", "x", None, None), ("a; b", "y", None, None)]
    path.write_text("text,label;\na;b,x\nc,y\n")
    assert [item.text for item in local(path, label_column="label;").items] == ["a;b", "c"]


def trec(line: str):
    def make(path: Path) -> Path:
        (path / "a.label").write_text(f"HUM:ind Who ?\n{line}\n")
        (path / "b.label").write_text("LOC:x a\n")
        return path

    return make


def odd_file(make, name: str = "x/2.txt"):
    """A folder of texts with a file that is no plain one, or is not whole."""

    def made(path: Path) -> Path:
        write_files(path / "a", {"x/1.txt": b"a", "y/1.txt": b"b"})
        make(path / "a" / name)
        return path / "a"

    return made


def odd_trec(make):
    def made(path: Path) -> Path:
        (path / "a.label").write_text(TREC, encoding="latin-1")
        make(path / "b.label")
        return path

    return made


def broken_link(path: Path) -> None:
    path.symlink_to("nothing")


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large_file(path: Path) -> None:
    path.touch()
    os.truncate(path, (1 << 26) + 1)  # with no block on the disk


def pipe_of_rows(path: Path) -> Path:
    os.mkfifo(path / "a.csv")
    return path / "a.csv"


CASES = {
    "a pipe": (odd_file(os.mkfifo), r"a: x/2\.txt cannot be used \(not a plain file\): mend or remove it"),
    "a broken link": (odd_file(broken_link), r"a: x/2\.txt cannot be used \(a broken link\): mend or remove it"),
    "a link to a device": (odd_file(link_to_a_device), r"a: x/2\.txt cannot be used \(not a plain file\): mend"),
    "a large file": (odd_file(large_file), r"x/2\.txt cannot be used \(67,108,865 bytes, more than 67,108,864\): mend"),
    "a pipe of questions": (odd_trec(os.mkfifo), r"b\.label: not a plain file: mend it, or give another file"),
    "no questions": (odd_trec(broken_link), r"b\.label: a broken link: mend it, or give another file"),
    "a device of questions": (odd_trec(link_to_a_device), r"b\.label: not a plain file: mend it, or give another"),
    "a pipe of rows": (pipe_of_rows, r"a\.csv: not a plain file: mend it, or give another file"),
    "no text": (table("text,label\na,x\n,y\n"), r"a\.csv, row 2: no text"),
    "a torn group": (
        table("text,label,split,group\na,x,train,g\nb,y,test,g\n"),
        r"a\.csv: groups in several splits: 1 \(g\): give all texts of a group one split",
    ),
    "no label": (table("text,label\na,\nb,y\n"), r"a\.csv, row 1: no label"),
    "one class": (table("text,label\na,x\nb,x\n"), r"all texts are of one class \(x\): a classifier needs two or more"),
    "no rows": (table("text,label\n"), r"a\.csv: no rows"),
    "no column": (table("text,art\na,x\n"), r"no column label \(or class, .*\); its columns are: text, art: set"),
    "another split": (table("text,label,split\na,x,trian\n"), r"row 1: the split 'trian' is not one of train, val"),
    "a long row": (table("text,label\na,x,c\nb,y\n"), r"a\.csv: not a \.csv table: line 2 has 3 cells, and the head"),
    "a longer row": (table("text,label\na,x\nb,y,c\n"), r"a\.csv: not a \.csv table: line 3 has 3 cells, and the head"),
    "an open quotation": (
        table('text,label\na,x\n"b,y\nc,x\n'),
        r"a\.csv: not a \.csv table: a quotation mark in row 2 has no end",
    ),
    "a torn JSON line": (
        table('{"text": "a", "label": 1}\n{"text"\n', "a.jsonl"),
        r"l: not a \.jsonl table: line 2 is",
    ),
    "a list in a cell": (table('{"text": ["a"], "label": 1}\n', "a.jsonl"), r"row 1: the text is a list, not text: wr"),
    "an empty file": (files(x__1=b" \n", y__1=b"b"), r"a: x/1\.txt has no text: remove it"),
    "a file in Latin-1": (files(x__1="a\nä".encode("latin-1"), y__1=b"b"), r"x/1\.txt, line 2: the byte 0xe4 is not"),
    "files without a class": (files(x__1=b"a", y=b"b"), r"texts without a class folder: 1 \(y\.txt\): move each into"),
    "no label in TREC": (trec("Who was it ?"), r"a\.label, line 2: expected LABEL:fine and a text, found 'Who was it"),
    "no text in TREC": (trec("HUM:ind"), r"a\.label, line 2: expected LABEL:fine and a text, found 'HUM:ind'"),
}


@pytest.mark.parametrize("case", CASES)
def test_mistakes_are_one_sentence(case, tmp_path):
    make, said = CASES[case]
    path = make(tmp_path)
    with pytest.raises(DataError, match=said) as caught:
        local(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("ag-news-csv", '"3","a"\n', r"line 1: expected the number of a class, 1 to 2, and a text, found '3,a'"),
        (
            "ag-news-csv",
            f'"{"1" * 5000}","a"\n',
            r"line 1: expected the number of a class, 1 to 2, and a text, found '11",
        ),
        ("ag-news-csv", '"1",""\n', r"line 1: expected the number of a class, 1 to 2, and a text, found '1,'"),
        ("ag-news-csv", '"1","a"\n"2","b\n', r"line 2: not a CSV file: unexpected end of data"),
        ("ag-news-csv", '"1","a"\n', r"train\.csv: all texts are of one class \(x\)"),
    ],
)
def test_mistakes_of_ag_news(form, text, said, tmp_path):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        described(form, ["x", "y"], train=tmp_path / "train.csv", test=tmp_path / "train.csv")


def test_a_class_that_the_descriptor_lacks_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", ROWS)
    with pytest.raises(DataError, match="classes that the descriptor does not name: HUM"):
        described("text-table", ["01", "02"], table=path)


@pytest.mark.parametrize("name", ["trec", "trec_fine", "ag_news", "imdb", "sst2", "dbpedia"])
def test_descriptors_are_valid(name):
    source = open_source(ROOT / f"data/sources/{name}.yaml")
    assert source_task(source, preprocess_params()) == TEXTS and source.name == name


def test_a_quotation_mark_without_an_end_swallows_no_lines_of_a_tsv(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"Go home, he said\tpos\nfine\tneg\nHe left" quickly\tneg\n')
    with pytest.raises(DataError, match=r"a\.tsv: not a \.tsv table: row 1 goes over several lines or cells"):
        local(tmp_path / "a.tsv")


def test_blank_lines_and_long_fields_of_ag_news_are_read(tmp_path):
    (tmp_path / "train.csv").write_text('"2","A, title"\n\n"1","' + "long " * 40_000 + '"\n\n')
    (tmp_path / "test.csv").write_text('"1","b"\n"2","c"\n')
    found = described("ag-news-csv", ["x", "y"], train=tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert [item.label for item in found.items] == ["y", "x", "x", "y"] and len(found.items[1].text) == 199_999


@pytest.mark.parametrize("number", ["2", "x", "1" * 5000], ids=["another", "a letter", "many digits"])
def test_mistakes_of_sst2(number, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.tsv", f"sentence\tlabel\nfine\t{number}\n")
        archive.writestr("dev.tsv", "sentence\tlabel\nfine\t1\n")
    with pytest.raises(DataError, match=r"train\.tsv, line 2: expected a text, a tab and a class, 0 to 1, found 'fine"):
        described("sst2", ["x", "y"], archive=tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_text_is_as_large_in_an_archive_as_in_a_folder(kind, tmp_path, monkeypatch):
    """With a low limit: a text of the real one takes seconds to pack."""
    monkeypatch.setattr("cct.data.texts.formats.MAX_TEXT_BYTES", 10)
    path = write_files(tmp_path / "a", {"x/1.txt": b"a" * 10, "y/1.txt": b"b" * 11})
    if kind == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("x/1.txt", "y/1.txt"):
                archive.write(tmp_path / "a" / name, name)
    elif kind == "tar":
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "a", "")
    with pytest.raises(DataError, match=r"y/1\.txt cannot be used \(11 bytes, more than 10\): mend or remove it"):
        local(path)
    monkeypatch.setattr("cct.data.texts.formats.MAX_TEXT_BYTES", 11)
    assert [item.text for item in local(path).items] == ["a" * 10, "b" * 11]


@pytest.mark.parametrize("encoding", ["auto", "utf-8"])
def test_a_table_larger_than_the_limit_is_refused(encoding, tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", ROWS)
    monkeypatch.setattr("cct.data.texts.encodings.MAX_WHOLE_BYTES", path.stat().st_size)
    assert len(local(path, encoding=encoding).items) == 3
    monkeypatch.setattr("cct.data.texts.encodings.MAX_WHOLE_BYTES", path.stat().st_size - 1)
    with pytest.raises(DataError, match=r"a\.csv: \d+ bytes, more than \d+: mend it, or give another file"):
        local(path, encoding=encoding)


def test_what_arrow_does_not_implement_is_one_sentence(tmp_path):
    """A column of integers of 128 bits. Arrow's error is no error of a value, nor of the system."""
    path, schemas = tmp_path / "a.parquet", []
    for kind in (pyarrow.int32(), pyarrow.int64()):
        parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": pyarrow.array([1, 2], kind)}), path)
        schemas.append(parquet.read_metadata(path).metadata[b"ARROW:schema"])
    narrow, wide = map(base64.b64decode, schemas)
    (place,) = (place for place, pair in enumerate(zip(narrow, wide, strict=True)) if pair == (32, 64))
    wider = base64.b64encode(wide[:place] + bytes([128]) + wide[place + 1 :])
    path.write_bytes(path.read_bytes().replace(schemas[1], wider))
    with pytest.raises(pyarrow.ArrowNotImplementedError):
        parquet.read_table(path)
    with pytest.raises(DataError, match=r"a\.parquet: not a \.parquet table: Integers with more than 64 bits not impl"):
        local(path)


def test_a_parquet_file_in_another_encoding_names_its_row(tmp_path):
    path = tmp_path / "a.parquet"
    texts = pyarrow.array([b"fine", b"sch\xf6n"]).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"text": texts, "label": ["x", "y"]}), path)
    with pytest.raises(DataError, match=r"a\.parquet, row 2: the text is not UTF-8: write it in UTF-8"):
        local(path)
