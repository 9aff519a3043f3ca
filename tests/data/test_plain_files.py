"""Files that are read whole: only plain ones of a bounded size."""

import os

import pytest

from cct.data.plain_files import FileError, read_plain_file


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "absent"),
        (lambda path: path.mkdir(), "not a plain file"),
        (os.mkfifo, "not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a plain file"),
        (lambda path: path.symlink_to("nothing"), "a broken link"),
        (lambda path: path.symlink_to(path), "a broken link"),
        (lambda path: path.write_bytes(bytes(1235)), "1,235 bytes, more than 1,234"),
    ],
    ids=["absent", "a folder", "a pipe", "a link to a device", "a broken link", "a link to itself", "a large file"],
)
def test_what_is_no_plain_file_is_refused(make, said, tmp_path):
    make(tmp_path / "a")
    with pytest.raises(FileError) as caught:
        read_plain_file(tmp_path / "a", most=1234)
    assert str(caught.value) == said


def test_plain_files_and_links_to_them_are_read(tmp_path):
    (tmp_path / "a").write_bytes(bytes(1234))
    (tmp_path / "b").symlink_to("a")
    assert read_plain_file(tmp_path / "a", most=1234) == read_plain_file(tmp_path / "b", most=1234) == bytes(1234)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_refused(tmp_path):
    (tmp_path / "a").touch(mode=0)
    with pytest.raises(FileError, match=r"^cannot be read: Permission denied$"):
        read_plain_file(tmp_path / "a", most=1)
