"""Folders, zip files and tar archives with the same files give the same."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from image_files import two_classes, write_files, write_tar, write_zip

from cct.data.archives import ARCHIVE_SUFFIXES
from cct.data.containers import open_container

FILES = two_classes(3) | {"Äpfel/ä b.png": b"x", "notes.txt": b"hi"}


def content(container, names):
    return {
        file.name: file.content.read_bytes() if isinstance(file.content, Path) else file.content
        for file in container.files(names)
    }


def write_archive(path, files):
    if path.suffix == ".zip":
        return write_zip(path, files)
    mode = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "tbz2": "w:bz2", "xz": "w:xz", "txz": "w:xz"}
    return write_tar(path, files, mode.get(path.suffix[1:].lower(), "w"))


@pytest.mark.parametrize("suffix", [*ARCHIVE_SUFFIXES, ".TAR.GZ", ".ZIP"])
def test_archives_have_the_files_of_the_folder(suffix, tmp_path):
    folder = open_container(write_files(tmp_path / "photos", FILES))
    path = tmp_path / f"photos{suffix}"
    archive = open_container(write_zip(path, FILES) if suffix == ".ZIP" else write_archive(path, FILES))
    assert sorted(folder.names()) == sorted(archive.names()) == sorted(FILES)
    wanted = list(FILES)[2:5]
    assert content(folder, wanted) == content(archive, wanted) == {name: FILES[name] for name in wanted}


def test_files_come_in_the_order_of_the_names(tmp_path):
    for made in (
        write_files(tmp_path / "photos", FILES),
        write_zip(tmp_path / "a.zip", FILES),
        write_tar(tmp_path / "a.tar", FILES),
    ):
        container = open_container(made)
        assert [file.name for file in container.files(set(FILES))] == container.names()


def test_names_in_a_zip_of_another_system(tmp_path):
    """UTF-8 without the flag that says so, as macOS writes it, and backslashes."""
    path = write_zip(tmp_path / "a.zip", {"cafe/1.png": b"1", "b/2.png": b"2"})
    raw = path.read_bytes().replace(b"cafe", "ca\u00e9".encode()).replace(b"b/2", b"b\\2")
    path.write_bytes(raw)
    assert zipfile.ZipFile(path).infolist()[0].flag_bits & 0x800 == 0
    assert content(open_container(path), ["ca\u00e9/1.png", "b/2.png"]) == {"ca\u00e9/1.png": b"1", "b/2.png": b"2"}


def test_a_colon_in_a_name_is_no_drive(tmp_path):
    files = {"a:5/0.png": b"1", "b:c.png": b"2"}
    for made in (
        write_files(tmp_path / "photos", files),
        write_zip(tmp_path / "a.zip", files),
        write_tar(tmp_path / "a.tar", files),
    ):
        container = open_container(made)
        assert content(container, container.names()) == files


def test_dots_and_folders_in_names(tmp_path):
    files = {"./a/1.png": b"1", "a//2.png": b"2"}
    for made in (write_zip(tmp_path / "a.zip", files | {"a/": b""}), write_tar(tmp_path / "a.tar", files)):
        assert content(open_container(made), ["a/1.png", "a/2.png"]) == {"a/1.png": b"1", "a/2.png": b"2"}


def test_links_are_followed_and_circles_are_not(tmp_path):
    real = write_files(tmp_path / "elsewhere", {"1.png": b"1", "sub/2.png": b"2"})
    photos = write_files(tmp_path / "photos", {"cats/3.png": b"3"})
    (photos / "dogs").symlink_to(real)
    (photos / "cats/4.png").symlink_to(real / "1.png")
    (photos / "cats/again").symlink_to(photos)
    (photos / "cats/broken.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "link").symlink_to(photos)
    expected = ["cats/3.png", "cats/4.png", "cats/broken.png", "dogs/1.png", "dogs/sub/2.png"]
    for path in (photos, tmp_path / "link"):
        assert open_container(path).names() == expected


def test_two_links_to_one_folder_are_both_read(tmp_path):
    real = write_files(tmp_path / "elsewhere", {"1.png": b"1"})
    (tmp_path / "photos").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).symlink_to(real)
    assert open_container(tmp_path / "photos").names() == ["cats/1.png", "dogs/1.png"]


def test_deep_folders(tmp_path):
    """Deeper than Python's recursion."""
    deepest, here = tmp_path / "photos", os.getcwd()
    deepest.mkdir()
    os.chdir(deepest)
    try:
        for _ in range(1100):
            os.mkdir("a")
            os.chdir("a")
        Path("1.png").write_bytes(b"x")
        os.chdir(here)
        assert open_container(tmp_path / "photos").names() == ["a/" * 1100 + "1.png"]
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-r", tmp_path / "photos"], check=True)  # Python's own functions are recursive


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux only")
def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    container = open_container(tmp_path)
    assert content(container, container.names()) == {os.fsdecode(b"cats/\xff.png"): b"x"}


def test_the_identity_changes_with_the_files(tmp_path):
    for made in (
        write_files(tmp_path / "photos", FILES),
        write_zip(tmp_path / "a.zip", FILES),
        write_tar(tmp_path / "a.tar", FILES),
    ):
        container, names = open_container(made), sorted(FILES)
        before = container.identity(names)
        assert before == container.identity(names) != container.identity(names[1:])
        changed = made / names[0] if made.is_dir() else made
        os.utime(changed, ns=(1, 1))
        assert container.identity(names) != before
