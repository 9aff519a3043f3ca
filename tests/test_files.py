"""Files are written completely or not at all."""

import os
import resource
import subprocess
import sys

import pytest

from cct.errors import CCTError
from cct.files import make_empty_folder, require_writable, write_atomically


def test_a_folder_that_cannot_be_written_is_found_out_at_once(tmp_path):
    require_writable(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(CCTError, match=r"cannot write into .*file/: "):
        require_writable(tmp_path / "file")


def test_a_folder_elsewhere_is_emptied_too(tmp_path):
    """It has a link in its place, as on another disk."""
    place, link = tmp_path / "disk", tmp_path / "raw"
    (place / "a").mkdir(parents=True)
    (place / "a/file").write_text("old")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("another's")
    (place / "b").symlink_to(tmp_path / "other")
    link.symlink_to(place)
    make_empty_folder(link)
    assert link.is_symlink() and not list(place.iterdir()) and (tmp_path / "other/file").exists()


def test_what_was_there_stays_where_the_new_does_not_fit(tmp_path):
    """The file size limit of a process stands for a full disk: the write fails half way, for any user."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = f"""
import resource
from pathlib import Path
from cct.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, {resource.RLIM_INFINITY}))
try:
    write_atomically(Path({str(path)!r}), bytes(20000))
except OSError as error:
    print(error.strerror)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "File too large\n"
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_file_is_as_readable_as_any_other(tmp_path):
    write_atomically(tmp_path / "a/file", b"new")
    (tmp_path / "plain").touch()
    assert (tmp_path / "a/file").stat().st_mode == (tmp_path / "plain").stat().st_mode
