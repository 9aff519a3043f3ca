# ruff: noqa: E501 (a case is a line)
"""Sources that cannot be used as they are, each with its answer: one sentence that says what, where and what to do."""

import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas
import pytest
from image_files import encoded, prepare, smooth, two_classes, write_files, write_tar, write_zip
from sources import preprocess_params

from cct.data import archives, containers
from cct.data.arrays import DataError
from cct.data.images.source import list_images
from cct.data.plain_files import FileError
from cct.data.sources import open_source

PNG = encoded(smooth())


def folder(files, **more):
    def make(path: Path) -> Path:
        (path / "photos").mkdir()
        return write_files(path / "photos", {name: PNG for name in files} | more.get("content", {}))

    return make


def table(text, name="labels.csv"):
    def make(path: Path) -> Path:
        write_files(path, two_classes(3))
        (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return path / name

    return make


def tar_member(name="a/1.png", **fields):
    """An archive with a member of another kind."""

    def make(path: Path) -> Path:
        with tarfile.open(path / "photos.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member)
        return path / "photos.tar"

    return make


def zip_member(name="a/1.png", *, mode=0, flags=0, times=1):
    def make(path: Path) -> Path:
        with zipfile.ZipFile(path / "photos.zip", "w") as archive:
            for _ in range(times):
                member = zipfile.ZipInfo(name)
                member.external_attr = mode << 16
                archive.writestr(member, PNG)
        content = bytearray((path / "photos.zip").read_bytes())
        if flags:
            place = content.index(b"PK\x01\x02")
            content[place + 8] |= flags
            content[6] |= flags
        (path / "photos.zip").write_bytes(content)
        return path / "photos.zip"

    return make


def bytes_of(name, content):
    def make(path: Path) -> Path:
        (path / name).write_bytes(content)
        return path / name

    return make


def parquet(path: Path, rows) -> Path:
    pandas.DataFrame(rows).to_parquet(path)
    return path


def tar_bytes(files=None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files or two_classes(3).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def zip_bytes() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in two_classes(3).items():
            archive.writestr(name, content)
    return file.getvalue()


def nothing(path: Path) -> Path:
    return path / "photos"


def pipe(path: Path) -> Path:
    os.mkfifo(path / "photos.zip")
    return path / "photos.zip"


def unreadable_folder(path: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root reads every folder")
    made = write_files(path / "photos", two_classes(3))
    (made / "cats").chmod(0)
    return made


def gzip_of_zeros(path: Path) -> Path:
    """Five gigabytes of zeros in a few megabytes, behind a member that says it is so long."""
    member = tarfile.TarInfo("a/1.png")
    member.size = 5 << 30
    with gzip.open(path / "photos.tar.gz", "wb", 1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    return path / "photos.tar.gz"


PATHS = "path,label\n"
ROWS = "".join(f"{name},{name.split('/')[0]}\n" for name in two_classes(3))

# What is made, and how the message begins after the path.
CASES = {
    # folders
    "nothing there": (nothing, "data.source = '.*photos': there is no such file or folder$"),
    "an empty folder": (folder([]), "there is no image (.jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, .tiff), and no other file$"),
    "texts only": (folder([], content={"a/x.txt": b"a", "b/y.md": b"b"}), "there is no image (.*), but 2 text files; texts must be .txt files$"),
    "other files only": (folder([], content={"a/x.mp3": b"a", "b/y": b"b"}), "there is no image (.*), but 1 .mp3 file, 1 file without an ending$"),
    "hidden images only": (folder([".a/1.png", "b/.1.png"]), "there is no image (.*), but 2 hidden files"),
    "rubbish of macOS only": (folder(["__MACOSX/a/1.png", "a/Thumbs.db"]), "there is no image (.*), but 2 files of an operating system"),
    "images without a folder": (folder(["1.png", "2.png"]), "images without a class folder: 2 (1.png, 2.png): move each into a folder"),
    "one image beside the classes": (folder(["a/1.png", "b/1.png", "c.png"]), "images without a class folder: 1 (c.png)"),
    "an image beside the classes of a split": (folder(["train/a/1.png", "train/b/1.png", "test/1.png"]), "images without a class folder: 1 (test/1.png)"),
    "nested folders": (folder(["a/x/1.png", "a/y/1.png", "b/1.png"]), "images in a folder inside a class folder: 2 (a/x/1.png, a/y/1.png): set preprocess.class_folder"),
    "a folder beside the splits": (folder(["train/a/1.png", "test/a/1.png", "extra/a/1.png"]), "test and train look like splits, but extra is not one: move what is no split elsewhere"),
    "splits without train": (folder(["val/a/1.png", "test/a/1.png"]), "test and val look like splits, but there is no train"),
    "two folders of one split": (folder(["val/a/1.png", "dev/a/1.png", "train/a/1.png"]), "dev and val both mean the split val: rename one"),
    "a class of spaces": (folder([" /1.png", "b/1.png"]), "class names must be printable text without spaces around it, but these are not: ' '"),
    "a class with a space at its end": (folder(["a /1.png", "b/1.png"]), "class names must be .* not: 'a '"),
    "a class with a line break": (folder(["a\nb/1.png", "b/1.png"]), r"class names must be .* not: 'a\\nb'"),
    "a class that is not UTF-8": (folder([os.fsdecode(b"a\xff/1.png"), "b/1.png"]), r"class names must be .* not: 'a\\udcff'"),
    "one class": (folder([f"a/{n}.png" for n in range(3)]), "all images are of one class (a): a classifier needs two or more"),
    "a class of one image": (folder([], content=two_classes(6) | {"birds/1.png": encoded(smooth(999))}), r"a fraction of 0.2 leaves nothing on one side of: birds \(1 of 1\)\. .* on both sides.*: add examples$"),
    "a class of copies of one image": (folder([f"birds/{n}.png" for n in range(9)], content=two_classes(6)), r"a fraction of 0.2 leaves nothing on one side of: birds \(. of 9\)\..* a group stays on one side: add examples$"),
    "a class in the test split only": (folder([], content={f"train/{name}": content for name, content in two_classes(6).items()} | {f"test/{name}": content for name, content in two_classes(7).items()} | {"test/birds/1.png": encoded(smooth(999))}), "no training example of birds: add some, or remove the class"),
    "an unreadable folder": (unreadable_folder, "cannot read the folder .*cats: Permission denied"),
    # bad images
    "an empty image": (folder([], content=two_classes(6) | {"cats/x.jpg": b""}), r"1 of 13 images cannot be used: .* preprocess.on_bad_image to skip\n  cats/x.jpg: empty$"),
    "a text called .jpg": (folder([], content=two_classes(6) | {"cats/x.jpg": b"hello"}), r"1 of 13 images .*\n  cats/x.jpg: not an image \(JPEG"),
    "a truncated image": (folder([], content=two_classes(6) | {"cats/x.jpg": encoded(smooth(height=200, width=200), "JPEG")[:2000]}), r"1 of 13 images .*\n  cats/x.jpg: damaged: image file is truncated"),
    "several bad images": (folder([], content=two_classes(6) | {"cats/x.jpg": b"", "dogs/y.gif": b"GIF89a"}), r"2 of 14 images .*\n  cats/x.jpg: empty\n  dogs/y.gif: "),
    "only bad images": (folder([], content={"a/1.png": b"", "b/1.png": b""}), "2 of 2 images cannot be used"),
    "a hundred and more bad images": (folder([], content=two_classes(6) | {f"cats/x{n:03}.jpg": b"" for n in range(130)}), r"130 of 142 images (.|\n)*cats/x099.jpg: empty\n  and 30 more$"),
    # archives that are none
    "an empty zip": (bytes_of("photos.zip", b""), "damaged, or not a zip file: File is not a zip file"),
    "a zip without members": (lambda path: write_zip(path / "photos.zip", {}), "there is no image (.*), and no other file$"),
    "a text called .zip": (bytes_of("photos.zip", b"hello" * 99), "damaged, or not a zip file: File is not a zip file"),
    "half a zip": (lambda path: bytes_of("photos.zip", zip_bytes()[:900])(path), "damaged, or not a zip file: File is not a zip file"),
    "an empty tar": (bytes_of("photos.tar", b""), "damaged after 0 members, or not a tar archive: empty file"),
    "a text called .tar": (bytes_of("photos.tar", b"hello" * 999), "damaged after 0 members, or not a tar archive: "),
    "a text called .tar.gz": (bytes_of("photos.tar.gz", b"hello" * 999), r"damaged after 0 members, or not a tar archive: Not a gzipped file"),
    "a text called .tar.xz": (bytes_of("photos.tar.xz", b"hello" * 999), "damaged after 0 members, or not a tar archive: Input format not supported"),
    "a text called .tar.bz2": (bytes_of("photos.tar.bz2", b"hello" * 999), "damaged after 0 members, or not a tar archive: Invalid data stream"),
    "half a tar": (lambda path: bytes_of("photos.tar", tar_bytes()[:3000])(path), "damaged after . members, or not a tar archive: unexpected end of data"),
    "half a tar.gz": (lambda path: bytes_of("photos.tar.gz", gzip.compress(tar_bytes())[:-9])(path), "damaged after . members, or not a tar archive: Compressed file ended before"),
    "half a tar.xz": (lambda path: bytes_of("photos.tar.xz", lzma.compress(tar_bytes())[:-9])(path), "damaged after . members, or not a tar archive: Compressed file ended before"),
    "a tar.gz with a wrong checksum": (lambda path: bytes_of("photos.tar.gz", (whole := gzip.compress(tar_bytes()))[:-8] + bytes(4) + whole[-4:])(path), "damaged after 6 members, or not a tar archive: CRC check failed"),
    "a 7z": (bytes_of("photos.7z", b"7z\xbc\xaf\x27\x1c"), "not a folder, an archive (.zip, .tar, .tar.gz"),
    "a rar": (bytes_of("photos.rar", b"Rar!"), "not a folder, an archive (.zip"),
    "an image": (bytes_of("photo.png", PNG), "not a folder, an archive (.zip"),
    "a zip with a name that is empty": (zip_member(""), "damaged: a file has no name"),
    "a pipe called .zip": (pipe, "neither a folder nor a plain file"),
    "a device": (lambda path: Path("/dev/zero"), "neither a folder nor a plain file"),
    # traps in archives
    "an absolute name in a zip": (zip_member("/etc/passwd.png"), "'/etc/passwd.png' is a name outside of the archive's own folder: make the archive"),
    "a drive in a zip": (zip_member("C:/a/1.png"), "'C:/a/1.png' is a name outside of"),
    "a drive with a backslash in a zip": (zip_member("C:\\a\\1.png"), "'C:/a/1.png' is a name outside of"),
    "a drive in a tar": (tar_member("c:/a/1.png"), "'c:/a/1.png' is a name outside of"),
    "an upward name in a zip": (zip_member("../../a/1.png"), "'../../a/1.png' is a name outside of"),
    "backslashes upward in a zip": (zip_member("..\\..\\a\\1.png"), "'../../a/1.png' is a name outside of"),
    "a link in a zip": (zip_member(mode=stat.S_IFLNK | 0o777), "'a/1.png' is a link or a device: an archive of images may have plain files and folders only"),
    "a device in a zip": (zip_member(mode=stat.S_IFCHR | 0o600), "'a/1.png' is a link or a device: "),
    "an encrypted zip": (zip_member(flags=1), "'a/1.png' is encrypted: make the archive without a password"),
    "one name twice in a zip": (zip_member(times=2), "'a/1.png' is in the archive twice"),
    "an absolute name in a tar": (tar_member("/etc/1.png"), "'/etc/1.png' is a name outside of"),
    "an upward name in a tar": (tar_member("a/../../1.png"), "'a/../../1.png' is a name outside of"),
    "a symbolic link in a tar": (tar_member(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'a/1.png' is a link or a device: .* (tar --dereference --hard-dereference and zip follow links)"),
    "a hard link in a tar": (tar_member(type=tarfile.LNKTYPE, linkname="x"), "'a/1.png' is a link or a device: "),
    "a device in a tar": (tar_member(type=tarfile.CHRTYPE), "'a/1.png' is a link or a device: "),
    "a pipe in a tar": (tar_member(type=tarfile.FIFOTYPE), "'a/1.png' is a link or a device: "),
    "one name twice in a tar": (lambda path: bytes_of("photos.tar", tar_bytes([("a/1.png", PNG)] * 2))(path), "'a/1.png' is in the archive twice"),
    "a member of five gigabytes that is not there": (gzip_of_zeros, "damaged after . members, or not a tar archive: unexpected end of data"),
    # manifests
    "an empty manifest": (table(""), "not a .csv table: it is empty"),
    "a manifest without rows": (table(PATHS), "no rows"),
    "a manifest without a path": (table("photo,label\na,b\n"), r"no column path \(or file_name, filename, file, image, image_path, filepath\); its columns are: photo, label"),
    "a manifest without a label": (table("path,colour\na,b\n"), r"no column label \(or class, .*\); its columns are: path, colour"),
    "a row without a label": (table(PATHS + ROWS + "cats/00.png,\n"), "row 7: no label"),
    "a row without a path": (table(PATHS + ",cats\n" + ROWS), "row 1: no path"),
    "a path twice": (table(PATHS + ROWS + "cats/00.png,dogs\n"), "row 7: cats/00.png is in row 1 too"),
    "an unknown split": (table("path,label,split\ncats/00.png,cats,holdout\n"), "row 1: the split 'holdout' is not one of train, val, test"),
    "a group in two splits": (table("path,label,split,group\na.png,cats,train,7\nb.png,cats,test,7\n"), r"groups in several splits: 1 \(7\): give all images of a group one split"),
    "a label with a tab": (table(PATHS + ROWS + '1.png,"a\tb"\n'), r"class names must be printable .* not: 'a\\tb'"),
    "a path with a line break": (table(PATHS + ROWS + '"1\n.png",a\n'), r"row 7: the path '1\\n.png' has control characters"),
    "more cells than columns": (table(PATHS + "a, b.png,cats\n" + ROWS), r"not a .csv table: line 2 has 3 cells, and the header has 2: put quotation marks"),
    "images in the table": (lambda path: parquet(path / "labels.parquet", [{"image": {"bytes": PNG, "path": None}, "label": 1}]), "row 1: the path is a dict, not text: write images to files"),
    "a list of labels": (lambda path: parquet(path / "labels.parquet", [{"path": "a.png", "label": [1, 2]}]), "row 1: the label is a .*, not text"),
    "another table beside the classes": (folder([], content=two_classes(3) | {"metadata.csv": b"patient,age\n1,2\n"}), r"no column path \(or .*\); its columns are: patient, age. Rename the file if it is no table of images"),
    "absent images": (table(PATHS + ROWS + "cats/none.png,cats\n"), r"1 of 7 images cannot be used: .*\n  cats/none.png: absent"),
    "rows of several lengths": (table(PATHS + ROWS + "a,b,c,d\n"), r"not a .csv table: line 8 has 4 cells, and the header has 2: put quotation marks"),
    "a manifest in Latin-1": (table((PATHS + "a.png,Äpfel\n").encode("latin-1")), "line 2: the byte 0xc4 is not utf-8: save it as UTF-8"),
    "no JSON lines": (table('{"path": "a.png"', "labels.jsonl"), "not a .jsonl table: "),
    "no Parquet": (table("PAR1", "labels.parquet"), "not a .parquet table: "),
    "two manifests": (lambda path: write_files(path / "photos", {"manifest.csv": b"path,label\n", "metadata.jsonl": b"{}"}), "manifest.csv and metadata.jsonl are both manifests: remove one"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_sources_are_refused(name, tmp_path):
    make, sentence = CASES[name]
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        open_source(path)
        prepare(list_images(path), preprocess_params(), name="photos", folder=tmp_path / "decoded", made_by=[])
    message = str(caught.value)
    pattern = sentence if re.search(r"\\", sentence) else re.sub(r"[()]", lambda found: "\\" + found[0], sentence)
    start = "" if name == "nothing there" else r"[^:]*?[,:]? "
    assert re.match(f"^{start}{pattern}", message), message
    assert name in ("nothing there", "an unreadable folder") or str(path) in message or str(path.parent) in message


def test_a_relative_path_without_a_file_has_more_advice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = rf"'photos': there is no such file or folder here \({re.escape(str(tmp_path))}\)\. .* the absolute path$"
    with pytest.raises(DataError, match=sentence):
        open_source(Path("photos"))


TABLES = {
    "a bad image": (PATHS + ROWS + "cats/none.png,cats\n", "1 of 7 images cannot be used"),
    "one class": (PATHS + "cats/00.png,cats\n", "all images are of one class"),
    "a class of one image": (PATHS + ROWS.replace("cats/02.png,cats", "cats/02.png,birds"), "a fraction of 0.2"),
}


@pytest.mark.parametrize("name", TABLES)
def test_errors_about_the_images_of_a_table_name_the_table(name, tmp_path):
    text, sentence = TABLES[name]
    path = table(text)(tmp_path)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {sentence}"):
        prepare(list_images(path), preprocess_params(), name="photos", folder=tmp_path / "decoded", made_by=[])


def test_an_archive_larger_than_all_images_is_refused(tmp_path, monkeypatch):
    """Zip and tar, with low limits: real bombs take minutes to write."""
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 100_000)
    monkeypatch.setattr(archives, "LARGEST_RATIO", 10)
    files = {"a/1.bmp": bytes(200_000), "b/1.bmp": bytes(10)}
    for path in (write_zip(tmp_path / "a.zip", files), write_tar(tmp_path / "a.tar.gz", files, "w:gz")):
        with pytest.raises(DataError, match=r"unpacks to more than 100,000 bytes, 10 times its size: no archive of"):
            list_images(path)


def test_a_file_larger_than_any_image_is_a_bad_image(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1000)
    files = {"a/1.png": bytes(2000), "b/1.png": PNG[:900]}
    for path in (write_zip(tmp_path / "a.zip", files), write_tar(tmp_path / "a.tar", files)):
        found = {file.name: file.content for file in containers.open_container(path).files(list(files))}
        assert str(found["a/1.png"]) == "2,000 bytes, more than 1,000" and found["b/1.png"] == PNG[:900]


def test_any_damage_of_a_zip_is_refused_or_a_bad_image(tmp_path):
    """Each byte in turn is another one; names say UTF-8."""
    path = write_zip(tmp_path / "a.zip", {"ä/1.png": b"x" * 9, "b/2.png": b"y"})
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xE1]) + content[place + 1 :])
        try:
            container = containers.open_container(path)
            for file in container.files(container.names()):
                assert isinstance(file.content, bytes | FileError)
        except DataError as error:
            assert "\n" not in str(error)


def test_a_damaged_member_of_a_zip_is_a_bad_image(tmp_path):
    files = two_classes(6)
    path = write_zip(tmp_path / "a.zip", files, zipfile.ZIP_STORED)
    content = path.read_bytes()
    place = content.index(files["cats/03.png"]) + 50
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(DataError, match=r"1 of 12 images .*\n  cats/03.png: damaged in the archive: Bad CRC-32"):
        prepare(list_images(path), preprocess_params(), name="a", folder=tmp_path / "decoded", made_by=[])
    skipping = preprocess_params(on_bad_image="skip")
    prepared = prepare(list_images(path), skipping, name="a", folder=tmp_path / "decoded", made_by=[])
    assert [one["file"] for one in prepared.facts["bad_images"]] == ["cats/03.png"]
    assert sum(len(split.label_n) for split in prepared.splits.values()) == 11
    assert np.concatenate([split.label_n for split in prepared.splits.values()]).sum() == 6
